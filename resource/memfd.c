// SPDX-License-Identifier: LGPL-2.1-or-later
// memfd: what is mapped somewhere is kept as memory, the rest with its content here. Seals come last.
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "resource/content.h"
#include "resource/memory.h"
#include "resource/reopen.h"
#include "util/cleanup.h"

enum { SEALS = 0x3f, NAME_LEN = 249 };
static const char prefix[] = "/memfd:", suffix[] = " (deleted)";

static bool recognises(const struct open_file *f)
{
	return S_ISREG(f->st.st_mode) && f->st.st_nlink == 0 &&
	       !strncmp(f->path, prefix, strlen(prefix));
}

static struct err *save_late(const struct open_file *f, json_t *object)
{
	_cleanup_close_ int here = -1;
	_cleanup_close_ int readable = -1;
	char path[40];
	struct statfs fs;
	size_t at = 0, i;

	TRY(open_file_here(f, &here));
	if (saving_next_on_inode(f->s->all, f->st.st_dev, f->st.st_ino, &at, &i) &&
	    i != f->index)
		return json_put_int(object, "same", (json_int_t)i);
	const json_t *memory = memory_find(f->s->all, f->st.st_dev, f->st.st_ino, &i);
	if (memory)
		TRY(json_put_int(object, "memory", (json_int_t)i));
	int seals = fcntl(here, F_GET_SEALS);
	if (seals < 0)
		return err_sys(errno, "cannot see the seals of %s", f->path);
	TRY(json_put_int(object, "seals", seals));
	TRY(json_put_int(object, "mode", f->st.st_mode & 0777));
	bool huge = fstatfs(here, &fs) || fs.f_type != TMPFS_MAGIC;
	if (huge && memory) // cannot be read; it is mapped as a whole, mostly
		return NULL;
	if (huge)
		return open_file_refuse(f, "unsaved-descriptor",
					"it has huge pages and is not mapped");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", here);
	readable = open(path, O_RDONLY | O_CLOEXEC);
	if (readable < 0)
		return err_sys(errno, "cannot read %s", f->path);
	return content_save(f, readable, memory, object);
}

static struct err *save(const struct open_file *f, json_t *object)
{
	const char *name = f->path + strlen(prefix);
	size_t n = strlen(name), tail = strlen(suffix);
	_cleanup_free_ char *copy = NULL;

	if (n >= tail && !strcmp(name + n - tail, suffix))
		n -= tail;
	copy = strndup(name, n);
	return copy ? json_put_text(object, "name", copy) : err_nomem();
}

static struct err *make_new(const json_t *object, int *ret)
{
	_cleanup_free_ char *name = NULL;
	int mode;

	TRY(json_get_text(object, "name", NAME_LEN, &name));
	TRY(json_get_i32(object, "mode", 0, 0777, &mode));
	*ret = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*ret < 0)
		return err_sys(errno, "cannot make a memfd");
	if (fchmod(*ret, (mode_t)mode))
		return err_sys(errno, "cannot set the mode of a memfd");
	return content_fill(*ret, object);
}

static struct err *make(struct restoring *all, size_t index, const json_t *object)
{
	_cleanup_close_ int made = -1;
	int from = -1;
	uint64_t same;

	if (json_has(object, "memory")) {
		TRY(memory_fd(all, object, &from));
		if (json_has(object, "content"))
			TRY(content_fill(from, object));
	} else if (json_has(object, "same")) {
		TRY(json_get_u64(object, "same", index, &same));
		from = all->files[same];
	} else {
		TRY(make_new(object, &made));
		from = made;
	}
	if (from < 0)
		return restoring_bad(index, object, "the memfd it belongs to is none");
	TRY(reopen_fd(from, object, &all->files[index]));
	return reopen_seek(all->files[index], object);
}

// When the mappings are there, and their content.
static struct err *start(struct restoring *all, size_t index, const json_t *object)
{
	char path[40];
	int seals;

	TRY(json_opt_i32(object, "seals", 0, SEALS, 0, &seals));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", all->files[index]);
	_cleanup_close_ int writable = open(path, O_RDWR | O_CLOEXEC);
	int now = writable < 0 ? -1 : fcntl(writable, F_GET_SEALS);
	if (now < 0 || now == seals || !(seals & ~now))
		return NULL;
	if (fcntl(writable, F_ADD_SEALS, seals & ~now))
		return err_sys(errno, "cannot seal a memfd (%#x)", seals);
	return NULL;
}

const struct file_kind kind_memfd = {.name = "memfd",
				     .recognises = recognises,
				     .save = save,
				     .save_late = save_late,
				     .make = make,
				     .start = start};
