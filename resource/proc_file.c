// SPDX-License-Identifier: LGPL-2.1-or-later
// Files of /proc and /sys: opened again by path; those of a saved process when that process is there.
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "resource/files.h"
#include "resource/reopen.h"
#include "util/cleanup.h"

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

static bool is_kernels(const struct statfs *fs)
{
	return fs->f_type == PROC_SUPER_MAGIC || fs->f_type == SYSFS_MAGIC ||
	       fs->f_type == CGROUP2_SUPER_MAGIC || fs->f_type == DEBUGFS_MAGIC ||
	       fs->f_type == TRACEFS_MAGIC;
}

static bool recognises(const struct open_file *f)
{
	struct statfs fs;

	if (!begins(f->path, "/proc/") && !begins(f->path, "/sys/"))
		return false;
	if (!S_ISREG(f->st.st_mode) && !S_ISDIR(f->st.st_mode))
		return false;
	return !statfs(begins(f->path, "/proc/") ? "/proc" : f->path, &fs) &&
	       is_kernels(&fs);
}

static struct err *save(const struct open_file *f, json_t *object)
{
	struct stat now;

	(void)object;
	if (lstat(f->path, &now))
		return open_file_refuse(f, "unsaved-descriptor",
					"what it tells about is gone");
	return NULL;
}

// "/proc/PID..." or "/proc/PID/task/TID...": where the number stands.
static const char *number_at(const char *path, const char *before, pid_t *ret)
{
	char *end;

	if (!begins(path, before) || !isdigit((unsigned char)path[strlen(before)]))
		return NULL;
	long v = strtol(path + strlen(before), &end, 10);
	*ret = (pid_t)v;
	return v > 0 && v <= INT32_MAX && (!*end || *end == '/') ? end : NULL;
}

static struct err *save_late(const struct open_file *f, json_t *object)
{
	pid_t pid;

	if (!number_at(f->path, "/proc/", &pid) ||
	    !index_has_process(f->s->all->index, pid))
		return NULL;
	return json_put_bool(object, "saved", true);
}

static struct err *open_it(const char *path, const json_t *object, int *fd)
{
	struct statfs fs;
	int flags;

	TRY(reopen_flags(object, &flags));
	*fd = open(path, flags | O_NONBLOCK | O_NOFOLLOW);
	if (*fd < 0)
		return err_sys(errno, "cannot open %s", path);
	if (fstatfs(*fd, &fs) || !is_kernels(&fs))
		return err_refuse("file-changed", path, "%s is an ordinary file now",
				  path);
	return reopen_seek(*fd, object);
}

static struct err *make(struct restoring *all, size_t index, const json_t *object)
{
	_cleanup_free_ char *path = NULL;
	bool saved;

	TRY(json_opt_bool(object, "saved", false, &saved));
	if (saved)
		return NULL;
	TRY(json_get_text(object, "path", PATH_MAX - 1, &path));
	if (!begins(path, "/proc/") && !begins(path, "/sys/"))
		return restoring_bad(index, object, "no path of /proc or /sys");
	return open_it(path, object, &all->files[index]);
}

static struct err *make_late(struct restorer *r, size_t index, const json_t *object)
{
	_cleanup_free_ char *path = NULL, *now = NULL;
	const char *rest, *rest2;
	pid_t pid, tid = 0;

	TRY(json_get_text(object, "path", PATH_MAX - 1, &path));
	rest = number_at(path, "/proc/", &pid);
	if (!rest || strstr(rest, "/../"))
		return restoring_bad(index, object, "no path of a process");
	rest2 = number_at(rest, "/task/", &tid);
	pid_t pid_now = r->tid_of(r, pid), tid_now = rest2 ? r->tid_of(r, tid) : 0;
	if (pid_now <= 0 || (rest2 && tid_now <= 0))
		return restoring_bad(index, object, "its process is not in the image");
	int n = rest2 ? asprintf(&now, "/proc/%d/task/%d%s", pid_now, tid_now, rest2)
		      : asprintf(&now, "/proc/%d%s", pid_now, rest);
	if (n < 0) {
		now = NULL;
		return err_nomem();
	}
	return open_it(now, object, &r->all->files[index]);
}

const struct file_kind kind_proc = {.name = "proc",
				    .recognises = recognises,
				    .save = save,
				    .save_late = save_late,
				    .make = make,
				    .make_late = make_late};
