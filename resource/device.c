// SPDX-License-Identifier: LGPL-2.1-or-later
// Devices: those that keep nothing (null, zero, full, random, urandom) are opened again; others are refused.
#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "resource/reopen.h"

enum {
	MEM_MAJOR = 1,
	NULL_MINOR = 3,
	ZERO_MINOR = 5,
	FULL_MINOR = 7,
	RANDOM_MINOR = 8,
	URANDOM_MINOR = 9
};

static bool recognises(const struct open_file *f)
{
	return S_ISCHR(f->st.st_mode) || S_ISBLK(f->st.st_mode);
}

static bool keeps_nothing(mode_t mode, dev_t d)
{
	static const unsigned minors[] = {NULL_MINOR, ZERO_MINOR, FULL_MINOR,
					  RANDOM_MINOR, URANDOM_MINOR};

	for (size_t i = 0; i < ARRAY_SIZE(minors); i++)
		if (S_ISCHR(mode) && major(d) == MEM_MAJOR && minor(d) == minors[i])
			return true;
	return false;
}

static struct err *save(const struct open_file *f, json_t *object)
{
	if (!keeps_nothing(f->st.st_mode, f->st.st_rdev))
		return open_file_refuse(f, "unsaved-descriptor",
					"the state of device %u:%u cannot be read",
					major(f->st.st_rdev), minor(f->st.st_rdev));
	return json_put_int(object, "minor", minor(f->st.st_rdev));
}

static struct err *make(struct restoring *all, size_t index, const json_t *object)
{
	struct stat st;
	uint64_t number;

	TRY(json_get_u64(object, "minor", UINT32_MAX, &number));
	TRY(reopen_path(object, S_IFCHR, &all->files[index]));
	if (fstat(all->files[index], &st))
		return err_sys(errno, "cannot look at it");
	if (!keeps_nothing(st.st_mode, st.st_rdev) || minor(st.st_rdev) != number)
		return err_refuse("file-changed", NULL, "it is another device now");
	return NULL;
}

const struct file_kind kind_device = {
	.name = "device", .recognises = recognises, .save = save, .make = make};
