// SPDX-License-Identifier: LGPL-2.1-or-later
// Names of UNIX sockets: abstract ones, and files, which outlive their sockets.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/proc.h"
#include "resource/unix.h"

enum { NAME_MAX_LEN = sizeof(((struct sockaddr_un *)NULL)->sun_path) };

// The path; false for none and for abstract names.
static bool path_of(const struct socket_addr *a, char path[NAME_MAX_LEN + 1])
{
	const struct sockaddr_un *un = (const void *)&a->sa;

	if (a->len <= offsetof(struct sockaddr_un, sun_path) || !un->sun_path[0])
		return false;
	size_t n = a->len - offsetof(struct sockaddr_un, sun_path);
	memcpy(path, un->sun_path, n < NAME_MAX_LEN ? n : NAME_MAX_LEN);
	path[n < NAME_MAX_LEN ? n : NAME_MAX_LEN] = 0;
	return true;
}

static bool is_that_file(const struct stat *st, uint32_t dev, uint32_t ino)
{
	// The kernel's own form of a device number: 12 and 20 bits.
	return S_ISSOCK(st->st_mode) && (uint32_t)st->st_ino == ino &&
	       st->st_dev == makedev(dev >> 20, dev & 0xfffff);
}

struct err *unix_save_file(const struct open_file *f, const struct socket_addr *local,
			   uint32_t dev, uint32_t ino, json_t *object)
{
	char path[NAME_MAX_LEN + 1], dir[PATH_MAX] = "";
	_cleanup_close_ int at = -1;
	struct stat st;
	json_t *file;

	if (!path_of(local, path))
		return NULL;
	TRY(json_put_object(object, "file", &file));
	bool relative = path[0] != '/';
	if (f->pid != getpid() && relative) {
		int r = os_proc_link(f->pid, 0, "cwd", dir, sizeof(dir));
		if (r < 0)
			return err_sys(r, "cannot read the working folder of process %d",
				       f->pid);
	}
	at = f->pid == getpid()
		     ? open("/", O_PATH | O_CLOEXEC)
		     : os_proc_open(f->pid, 0, relative ? "cwd" : "root", O_PATH);
	const char *name = relative ? path : path + strspn(path, "/");
	if (at < 0 || fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !is_that_file(&st, dev, ino))
		return json_put_bool(file, "unlinked", true);
	TRY(json_put_int(file, "mode", st.st_mode & 07777));
	TRY(json_put_int(file, "uid", st.st_uid));
	TRY(json_put_int(file, "gid", st.st_gid));
	return *dir ? json_put_text(file, "dir", dir) : NULL;
}

// Whether somebody answers at the socket file.
static bool is_stale(const struct socket_addr *a, int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool stale = fd >= 0 && connect(fd, (const void *)&a->sa, a->len) < 0 &&
		     errno == ECONNREFUSED;

	if (fd >= 0)
		close(fd);
	return stale;
}

static struct err *clear_stale(const char *path, const struct socket_addr *a, int type)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? NULL : err_sys(errno, "cannot look at %s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_refuse(
			"address-in-use", path,
			"%s, the name of a UNIX socket, is another kind of file now",
			path);
	if (!is_stale(a, type))
		return err_refuse(
			"address-in-use", path,
			"a process has a UNIX socket at %s: the saved one runs still, "
			"or another took its place",
			path);
	return unlink(path) < 0
		       ? err_sys(errno, "cannot replace the old socket file %s", path)
		       : NULL;
}

static struct err *set_mode(const json_t *file, const char *path)
{
	int64_t mode, uid, gid;

	TRY(json_opt_int(file, "mode", 0, 07777, -1, &mode));
	if (mode < 0)
		return NULL;
	TRY(json_get_int(file, "uid", 0, UINT32_MAX, &uid));
	TRY(json_get_int(file, "gid", 0, UINT32_MAX, &gid));
	// Another owner's only for those who may; the mode last, for chown clears bits of it.
	(void)!lchown(path, (uid_t)uid, (gid_t)gid);
	return chmod(path, (mode_t)mode) < 0
		       ? err_sys(errno, "cannot set the mode of %s", path)
		       : NULL;
}

static struct err *bind_path(struct restoring *all, size_t index, const json_t *object,
			     int fd, const struct socket_addr *local, const char *path)
{
	const json_t *file;
	bool unlinked;

	TRY(json_opt_object(object, "file", &file));
	TRY(json_opt_bool(file ? file : object, "unlinked", false, &unlinked));
	if (unlinked && !access(path, F_OK))
		return restoring_note(
			all,
			"unix socket (object %zu) gets no name: %s, which was "
			"removed when it was saved, is there again",
			index, path);
	TRY(clear_stale(path, local, socket_int(fd, SOL_SOCKET, SO_TYPE, SOCK_STREAM)));
	TRY(socket_bind(index, object, fd, local));
	if (unlinked)
		(void)!unlink(path);
	return unlinked || !file ? NULL : set_mode(file, path);
}

struct err *unix_enter(const json_t *object, int *before)
{
	_cleanup_free_ char *dir = NULL;
	const json_t *file;

	*before = -1;
	TRY(json_opt_object(object, "file", &file));
	if (!file || !json_has(file, "dir"))
		return NULL;
	TRY(json_get_text(file, "dir", PATH_MAX - 1, &dir));
	*before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*before < 0)
		return err_sys(errno, "cannot open the working folder");
	return chdir(dir) < 0 ? err_sys(errno, "cannot enter %s", dir) : NULL;
}

void unix_leave(const int *before)
{
	if (*before < 0)
		return;
	(void)!fchdir(*before);
	close(*before);
}

struct err *unix_bind_saved(struct restoring *all, size_t index, const json_t *object,
			    int fd, const struct socket_addr *local)
{
	_cleanup_(unix_leave) int before = -1;
	char path[NAME_MAX_LEN + 1];

	if (local->len <= sizeof(sa_family_t))
		return NULL;
	if (!path_of(local, path))
		return socket_bind(index, object, fd, local);
	TRY(unix_enter(object, &before));
	if (path[0] != '/' && before < 0)
		return restoring_note(
			all,
			"unix socket (object %zu) gets no name: it is not known "
			"in which folder %s was",
			index, path);
	return bind_path(all, index, object, fd, local, path);
}
