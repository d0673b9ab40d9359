// SPDX-License-Identifier: LGPL-2.1-or-later
// Regular files: by path when there is one, else with their content.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "resource/content.h"
#include "resource/memory.h"
#include "resource/reopen.h"
#include "util/cleanup.h"

static bool recognises(const struct open_file *f)
{
	return S_ISREG(f->st.st_mode);
}

static int64_t in_ns(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool is_deleted(const struct open_file *f)
{
	struct stat now;

	return f->st.st_nlink == 0 || lstat(f->path, &now) ||
	       now.st_dev != f->st.st_dev || now.st_ino != f->st.st_ino;
}

static struct err *save(const struct open_file *f, json_t *object)
{
	TRY(json_put_int(object, "size", f->st.st_size));
	TRY(json_put_int(object, "mtime", in_ns(f->st.st_mtim)));
	TRY(json_put_int(object, "mode", f->st.st_mode & 07777));
	if (is_deleted(f))
		TRY(json_put_bool(object, "deleted", true));
	return NULL;
}

// A file that mappings have, too, is kept with them; several descriptions of one file are told apart from several files.
static struct err *save_late(const struct open_file *f, json_t *object)
{
	_cleanup_close_ int here = -1, readable = -1;
	char path[40];
	size_t at = 0, first;

	if (!json_is_true(json_object_get(object, "deleted")))
		return NULL;
	if (saving_next_on_inode(f->s->all, f->st.st_dev, f->st.st_ino, &at, &first) &&
	    first != f->index)
		return json_put_int(object, "same", (json_int_t)first);
	const json_t *memory = memory_find(f->s->all, f->st.st_dev, f->st.st_ino, &first);
	if (memory)
		TRY(json_put_int(object, "memory", (json_int_t)first));
	TRY(open_file_here(f, &here));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", here);
	readable = open(path, O_RDONLY | O_CLOEXEC);
	if (readable < 0)
		return err_sys(errno, "cannot read deleted file %s", f->path);
	return content_save(f, readable, memory, object);
}

// As the present file is compared with the saved one.
static struct err *check_same(const struct restoring *all, const json_t *object, int fd)
{
	static const char *const allowed[] = {"exact", "append-ok", "any"};
	_cleanup_free_ char *path = NULL;
	struct stat st;
	uint64_t size;
	int64_t mtime;
	enum files_policy policy = all->opt->files;

	TRY(json_get_text(object, "path", PATH_MAX - 1, &path));
	TRY(json_get_u64(object, "size", INT64_MAX, &size));
	TRY(json_get_int(object, "mtime", INT64_MIN, INT64_MAX, &mtime));
	if (fstat(fd, &st))
		return err_sys(errno, "cannot look at %s", path);
	bool same = (uint64_t)st.st_size == size && in_ns(st.st_mtim) == mtime;
	bool longer = (uint64_t)st.st_size >= size;
	if (same || policy == FILES_ANY || (policy == FILES_APPEND_OK && longer))
		return NULL;
	return err_refuse(
		"file-changed", path,
		"file %s had %" PRIu64 " bytes when it was saved and has %" PRIu64
		" now%s (--files=%s; %s)",
		path, size, (uint64_t)st.st_size,
		(uint64_t)st.st_size == size ? ", written since" : "", allowed[policy],
		longer && (uint64_t)st.st_size > size ? "append-ok takes a file that grew"
						      : "any takes it as it is");
}

// An unnamed file where it was, or, where that cannot be, in memory.
static struct err *make_unnamed(const json_t *object, int *ret)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	int mode;

	TRY(json_get_text(object, "path", PATH_MAX - 1, &path));
	TRY(json_get_i32(object, "mode", 0, 07777, &mode));
	fd = open(dirname(path), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		fd = memfd_create("deleted", MFD_CLOEXEC);
	if (fd < 0)
		return err_sys(errno, "cannot make an unnamed file");
	TRY(content_fill(fd, object));
	if (fchmod(fd, (mode_t)mode & 0777))
		return err_sys(errno, "cannot set the mode of an unnamed file");
	*ret = take_fd(&fd);
	return NULL;
}

static struct err *make_deleted(struct restoring *all, size_t index, const json_t *object)
{
	_cleanup_close_ int unnamed = -1;
	int from;

	if (json_has(object, "memory")) {
		TRY(memory_fd(all, object, &from));
		TRY(content_fill(from, object));
	} else if (json_has(object, "same")) {
		uint64_t same;

		TRY(json_get_u64(object, "same", index, &same));
		from = all->files[same];
		if (from < 0)
			return restoring_bad(index, object,
					     "it is the same file as object %" PRIu64
					     ", which is none",
					     same);
	} else {
		TRY(make_unnamed(object, &unnamed));
		from = unnamed;
	}
	return reopen_fd(from, object, &all->files[index]);
}

static struct err *make(struct restoring *all, size_t index, const json_t *object)
{
	bool deleted;

	TRY(json_opt_bool(object, "deleted", false, &deleted));
	if (deleted) {
		TRY(make_deleted(all, index, object));
	} else {
		TRY(reopen_path(object, S_IFREG, &all->files[index]));
		TRY(check_same(all, object, all->files[index]));
	}
	return reopen_seek(all->files[index], object);
}

const struct file_kind kind_regular = {.name = "regular",
				       .recognises = recognises,
				       .save = save,
				       .save_late = save_late,
				       .make = make};
