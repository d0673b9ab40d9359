// SPDX-License-Identifier: LGPL-2.1-or-later
// The current folder and the root of a process. The tool opens both and hands them over: the process might not reach them
// from its own root, and nobody can put another in between.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/proc.h"
#include "os/uapi.h"
#include "resource/calls.h"
#include "resource/json.h"
#include "resource/process.h"
#include "resource/rights.h"
#include "util/cleanup.h"

static struct err *put_folder(const struct saver *s, const char *name)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];
	struct stat st;
	pid_t pid = s->process->pid;
	int r = os_proc_link(pid, 0, name, path, sizeof(path));

	if (r < 0)
		return err_sys(r, "cannot read /proc/%d/%s", pid, name);
	fd = os_proc_open(pid, 0, name, O_PATH | O_DIRECTORY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(fd < 0 ? fd : -errno, "cannot look at /proc/%d/%s", pid,
			       name);
	if (!st.st_nlink || path[0] != '/')
		return err_refuse("folder-gone", path,
				  "the %s folder of process %d (%s) no longer exists: %s",
				  strcmp(name, "cwd") ? "root" : "current", pid,
				  s->process->comm, path);
	return json_put_text(s->state, name, path);
}

struct err *save_folders(struct saver *s)
{
	TRY(put_folder(s, "cwd"));
	return put_folder(s, "root");
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static struct err *open_folder(const json_t *state, const char *name, int *ret)
{
	_cleanup_free_ char *path = NULL;

	TRY(json_get_text(state, name, PATH_MAX - 1, &path));
	if (path[0] != '/')
		return err_new(ERR_CORRUPT, "member '%s' is no absolute path", name);
	*ret = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? err_sys(errno, "cannot open the %s folder %s of the process",
				  strcmp(name, "cwd") ? "root" : "current", path)
			: NULL;
}

// Whether `fd` is what /proc/PID/NAME is already.
static bool is_there(pid_t pid, const char *name, int fd)
{
	struct stat a, b;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return !stat(path, &a) && !fstat(fd, &b) && same_file(&a, &b);
}

struct err *check_folders(const json_t *state)
{
	_cleanup_close_ int root = -1, cwd = -1;

	TRY(open_folder(state, "root", &root));
	TRY(open_folder(state, "cwd", &cwd));
	if (!is_there(getpid(), "root", root) && !rights_has_cap(CAP_SYS_CHROOT))
		return err_refuse("privilege", "CAP_SYS_CHROOT",
				  "the saved process has a root of its own, which needs "
				  "CAP_SYS_CHROOT");
	return NULL;
}

static struct err *enter(struct restorer *r, int root, int cwd)
{
	_cleanup_(call_list_deinit) struct call_list l = {0};
	taddr_t dot;
	int there[2] = {-1, -1};
	const int fds[2] = {cwd, root};

	TRY(remote_give(r->remote, fds, root < 0 ? 1 : 2, there));
	TRY(remote_put(r->remote, ".", sizeof("."), &dot));
	if (root >= 0) {
		TRY(CALL(&l, "go to the root folder", SYS_fchdir, (uint64_t)there[1]));
		TRY(CALL(&l, "set the root folder", SYS_chroot, dot));
		TRY(CALL(&l, "close the root folder", SYS_close, (uint64_t)there[1]));
	}
	TRY(CALL(&l, "go to the current folder", SYS_fchdir, (uint64_t)there[0]));
	TRY(CALL(&l, "close the current folder", SYS_close, (uint64_t)there[0]));
	return call_list_run(&l, r->remote, r->remote->tid);
}

struct err *restore_folders(struct restorer *r)
{
	_cleanup_close_ int root = -1, cwd = -1;
	const size_t mark = r->remote->used;
	pid_t pid = r->remote->pid;

	TRY(open_folder(r->state, "root", &root));
	TRY(open_folder(r->state, "cwd", &cwd));
	bool root_there = is_there(pid, "root", root);
	if (root_there && is_there(pid, "cwd", cwd))
		return NULL;
	struct err *e = enter(r, root_there ? -1 : root, cwd);
	remote_release(r->remote, mark);
	return e;
}
