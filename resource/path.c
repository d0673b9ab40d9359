// SPDX-License-Identifier: LGPL-2.1-or-later
// Descriptors opened with O_PATH: a place in the file tree, whatever lies there.
#include <fcntl.h>

#include "resource/reopen.h"

static bool recognises(const struct open_file *f)
{
	return f->flags & O_PATH;
}

static struct err *save(const struct open_file *f, json_t *object)
{
	struct stat now;

	if (f->path[0] != '/' || lstat(f->path, &now) || now.st_dev != f->st.st_dev ||
	    now.st_ino != f->st.st_ino)
		return open_file_refuse(f, "unsaved-descriptor",
					"no path leads to it any more");
	return json_put_int(object, "type", f->st.st_mode & S_IFMT);
}

static struct err *make(struct restoring *all, size_t index, const json_t *object)
{
	int type, flags;

	TRY(reopen_flags(object, &flags));
	if (!(flags & O_PATH))
		return restoring_bad(index, object, "O_PATH is missing in the flags");
	TRY(json_get_i32(object, "type", 0, S_IFMT, &type));
	return reopen_path(object, (mode_t)type, &all->files[index]);
}

const struct file_kind kind_path = {
	.name = "path", .recognises = recognises, .save = save, .make = make};
