// SPDX-License-Identifier: LGPL-2.1-or-later
// signalfd: its mask. What it would read are the pending signals of who reads, saved with those.
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "resource/kinds.h"

static bool recognises(const struct open_file *f)
{
	return !strcmp(f->path, "anon_inode:[signalfd]");
}

static struct err *save(const struct open_file *f, json_t *object)
{
	uint64_t mask;

	if (!fdinfo_u64(f->info, "sigmask", 16, &mask))
		return open_file_refuse(f, "unsaved-descriptor",
					"the kernel does not tell its mask");
	return json_put_mask(object, "mask", mask);
}

static struct err *make(struct restoring *all, size_t index, const json_t *object)
{
	uint64_t mask;

	TRY(json_get_mask(object, "mask", &mask));
	all->files[index] = (int)syscall(SYS_signalfd4, -1, &mask, sizeof(mask),
					 SFD_CLOEXEC | SFD_NONBLOCK);
	return all->files[index] < 0 ? err_sys(errno, "cannot make a signalfd") : NULL;
}

const struct file_kind kind_signalfd = {
	.name = "signalfd", .recognises = recognises, .save = save, .make = make};
