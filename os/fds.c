// SPDX-License-Identifier: LGPL-2.1-or-later
// The descriptors of another process; see fds.h.
#include "os/fds.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/cleanup.h"

static int by_number(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

static int collect(DIR *d, int **fds, size_t *n)
{
	_cleanup_free_ int *list = NULL;
	size_t used = 0, cap = 0;

	errno = 0;
	for (struct dirent *e; (e = readdir(d));) {
		if (e->d_name[0] < '0' || e->d_name[0] > '9')
			continue;
		if (used == cap) {
			cap = cap ? cap * 2 : 64;
			int *grown = realloc(list, cap * sizeof(*list));
			if (!grown)
				return -ENOMEM;
			list = grown;
		}
		list[used++] = (int)strtol(e->d_name, NULL, 10);
		errno = 0;
	}
	if (errno)
		return -errno;
	if (used)
		qsort(list, used, sizeof(*list), by_number);
	*fds = take_ptr(list);
	*n = used;
	return 0;
}

int os_fds(int dir, int **fds, size_t *n)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d) {
		int error = errno;
		if (fd >= 0)
			close(fd);
		return -error;
	}
	int r = collect(d, fds, n);
	closedir(d);
	return r;
}

int os_kcmp_file(pid_t a, int fd_a, pid_t b, int fd_b)
{
	long r = syscall(SYS_kcmp, a, b, KCMP_FILE, (unsigned long)fd_a,
			 (unsigned long)fd_b);

	return r < 0 ? -errno : (int)r;
}

int os_kcmp_epoll(pid_t pid, int fd, pid_t owner, int epoll, int target, uint32_t nth)
{
	struct kcmp_epoll_slot slot = {
		.efd = (uint32_t)epoll, .tfd = (uint32_t)target, .toff = nth};
	long r = syscall(SYS_kcmp, pid, owner, KCMP_EPOLL_TFD, (unsigned long)fd,
			 (unsigned long)(uintptr_t)&slot);

	return r < 0 ? -errno : (int)r;
}

int os_kcmp_tables(pid_t a, pid_t b)
{
	long r = syscall(SYS_kcmp, a, b, KCMP_FILES, 0, 0);

	return r < 0 ? -errno : (int)r;
}

int os_pidfd_getfd(int pidfd, int fd)
{
	int r = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);

	return r < 0 ? -errno : r;
}
