// SPDX-License-Identifier: LGPL-2.1-or-later
// Other ends that are not saved; see outside.h.
#include "resource/outside.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "os/fds.h"
#include "os/pids.h"
#include "os/proc.h"
#include "resource/reopen.h"
#include "util/cleanup.h"

static struct err *boot_id(char *buf, size_t size)
{
	_cleanup_close_ int fd =
		open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (n < 0)
		return err_sys(errno, "cannot read the id of this boot");
	buf[n] = 0;
	buf[strcspn(buf, "\n")] = 0;
	return NULL;
}

static int64_t in_ns(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

struct err *outside_save(const struct open_file *f, json_t *object)
{
	char boot[64];
	json_t *o;

	TRY(boot_id(boot, sizeof(boot)));
	TRY(json_put_object(object, "outside", &o));
	if (f->fd <= STDERR_FILENO)
		TRY(json_put_int(o, "stdio", f->fd));
	TRY(json_put(o, "boot_id", json_string(boot)));
	// Numbers of terminals are used again, and their inodes with them.
	if (S_ISCHR(f->st.st_mode))
		TRY(json_put_int(o, "ctime", in_ns(f->st.st_ctim)));
	TRY(json_put_int(o, "dev", (json_int_t)f->st.st_dev));
	return json_put_int(o, "ino", (json_int_t)f->st.st_ino);
}

struct wanted {
	dev_t dev;
	ino_t ino;
	int64_t ctime; // 0: no matter
};

// Looks among the descriptors of one process.
static int find_in(pid_t pid, struct wanted w, int flags)
{
	_cleanup_close_ int dir = os_proc_open(pid, 0, "fd", O_RDONLY | O_DIRECTORY);
	_cleanup_free_ int *fds = NULL;
	size_t n = 0;
	struct stat st;
	char name[16];

	if (dir < 0 || os_fds(dir, &fds, &n) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%d", fds[i]);
		if (fstatat(dir, name, &st, 0) || st.st_dev != w.dev ||
		    st.st_ino != w.ino || !(S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) ||
		    (w.ctime && in_ns(st.st_ctim) != w.ctime))
			continue;
		int fd = openat(dir, name,
				(flags & (O_ACCMODE | O_APPEND)) | O_NONBLOCK | O_NOCTTY |
					O_CLOEXEC);
		if (fd >= 0)
			return fd;
	}
	return -1;
}

static struct err *find_living(const json_t *o, int flags, int *ret)
{
	_cleanup_free_ pid_t *pids = NULL;
	const char *saved;
	char boot[64];
	uint64_t dev, ino;
	int64_t ctime;
	size_t n = 0;

	*ret = -1;
	TRY(json_opt_int(o, "ctime", 1, INT64_MAX, 0, &ctime));
	TRY(json_get_string(o, "boot_id", &saved));
	TRY(json_get_u64(o, "dev", INT64_MAX, &dev));
	TRY(json_get_u64(o, "ino", INT64_MAX, &ino));
	TRY(boot_id(boot, sizeof(boot)));
	if (strcmp(boot, saved) != 0)
		return NULL;
	int r = os_pids(&pids, &n);
	if (r < 0)
		return err_sys(r, "cannot list processes");
	for (size_t i = 0; i < n && *ret < 0; i++)
		if (pids[i] != getpid())
			*ret = find_in(pids[i], (struct wanted){dev, ino, ctime}, flags);
	return NULL;
}

// The caller's own. A file must not be opened anew: its offset is shared with the caller.
int outside_callers(int number, int flags)
{
	struct stat st;
	char path[40];
	int now = fcntl(number, F_GETFL), own = flags & (O_ACCMODE | O_APPEND);

	if (now < 0 || fstat(number, &st))
		return -1;
	if (S_ISREG(st.st_mode) || S_ISSOCK(st.st_mode))
		return fcntl(number, F_DUPFD_CLOEXEC, 3);
	if (S_ISFIFO(st.st_mode)) // a terminal is for both; the other end of a pipe is not ours
		own = (own & ~O_ACCMODE) | (now & O_ACCMODE);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", number);
	int fd = open(path, own | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0 && !(flags & O_NONBLOCK))
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	return fd;
}

struct err *outside_make(struct restoring *all, size_t index, const json_t *object)
{
	static const char *const names[] = {"input", "output", "error output"};
	const json_t *o;
	const char *path;
	int number, flags, *fd = &all->files[index];

	TRY(json_get_object(object, "outside", &o));
	TRY(json_opt_i32(o, "stdio", 0, STDERR_FILENO, -1, &number));
	TRY(json_get_string(object, "path", &path));
	TRY(reopen_flags(object, &flags));
	TRY(find_living(o, flags, fd));
	if (*fd >= 0 || number < 0)
		return NULL;
	*fd = outside_callers(number, flags);
	if (*fd < 0)
		return NULL;
	TRY(vec_push(&all->callers, index));
	return restoring_note(
		all,
		"descriptor %d led to a process that was not saved (%s): it "
		"is molt's standard %s now",
		number, path, names[number]);
}

struct err *outside_number(struct restoring *all, size_t index, int number, int *fd)
{
	const json_t *object = restoring_object(all, index);
	bool is = false;
	int flags, stdio;

	*fd = all->files[index];
	vec_for_each(i, &all->callers)
		is |= *i == index;
	if (!is || number > STDERR_FILENO)
		return NULL;
	TRY(json_get_i32(json_object_get(object, "outside"), "stdio", 0, STDERR_FILENO,
			 &stdio));
	TRY(reopen_flags(object, &flags));
	if (stdio == number || os_kcmp_file(getpid(), stdio, getpid(), number) == 0)
		return NULL;
	int own = outside_callers(number, flags);
	if (own < 0)
		return NULL;
	*fd = own;
	return restoring_keep(all, own);
}
