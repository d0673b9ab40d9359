// SPDX-License-Identifier: LGPL-2.1-or-later
// Directories, with the place that getdents has reached.
#include <sys/stat.h>

#include "resource/reopen.h"

static bool recognises(const struct open_file *f)
{
	return S_ISDIR(f->st.st_mode);
}

static struct err *save(const struct open_file *f, json_t *object)
{
	struct stat now;

	(void)object;
	if (f->st.st_nlink && !lstat(f->path, &now) && now.st_dev == f->st.st_dev &&
	    now.st_ino == f->st.st_ino)
		return NULL;
	return open_file_refuse(f, "unsaved-descriptor", "the directory was removed");
}

static struct err *make(struct restoring *all, size_t index, const json_t *object)
{
	TRY(reopen_path(object, S_IFDIR, &all->files[index]));
	return reopen_seek(all->files[index], object);
}

const struct file_kind kind_directory = {
	.name = "directory", .recognises = recognises, .save = save, .make = make};
