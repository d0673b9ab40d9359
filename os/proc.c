// SPDX-License-Identifier: LGPL-2.1-or-later
// Thin readers of /proc; see proc.h.
#include "os/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "util/cleanup.h"

enum { READ_CHUNK = 16384, READ_MAX = 1 << 28 };

static int proc_path(char *buf, size_t size, pid_t pid, pid_t tid, const char *name)
{
	int n = tid ? snprintf(buf, size, "/proc/%d/task/%d/%s", pid, tid, name)
		    : snprintf(buf, size, "/proc/%d/%s", pid, name);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

int os_proc_open(pid_t pid, pid_t tid, const char *name, int flags)
{
	char path[PATH_MAX];
	int r = proc_path(path, sizeof(path), pid, tid, name);

	if (r < 0)
		return r;
	int fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int os_read_all(int fd, char **buf, size_t *len)
{
	_cleanup_free_ char *data = NULL;
	size_t n = 0, cap = 0;

	for (;;) {
		if (cap - n < READ_CHUNK) {
			cap = cap ? cap * 2 : (size_t)READ_CHUNK * 2;
			if (cap > READ_MAX)
				return -EFBIG;
			char *grown = realloc(data, cap + 1);
			if (!grown)
				return -ENOMEM;
			data = grown;
		}
		ssize_t r = read(fd, data + n, cap - n);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		n += (size_t)r;
	}
	data[n] = 0;
	*len = n;
	*buf = take_ptr(data);
	return 0;
}

int os_proc_read(pid_t pid, pid_t tid, const char *name, char **buf, size_t *len)
{
	_cleanup_close_ int fd = os_proc_open(pid, tid, name, O_RDONLY);

	return fd < 0 ? fd : os_read_all(fd, buf, len);
}

int os_proc_link(pid_t pid, pid_t tid, const char *name, char *buf, size_t size)
{
	char path[PATH_MAX];
	int r = proc_path(path, sizeof(path), pid, tid, name);

	if (r < 0)
		return r;
	ssize_t n = readlink(path, buf, size);
	if (n < 0)
		return -errno;
	if ((size_t)n >= size)
		return -ENAMETOOLONG;
	buf[n] = 0;
	return 0;
}

// The value behind "\nKEY:\t", or NULL.
static const char *status_field(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, n) && line[n] == ':')
			return line + n + 1 + strspn(line + n + 1, " \t");
	}
	return NULL;
}

static long status_number(const char *text, const char *key)
{
	const char *value = status_field(text, key);

	return value ? strtol(value, NULL, 10) : 0;
}

int os_proc_status(pid_t pid, pid_t tid, struct os_status *ret)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = os_proc_read(pid, tid, "status", &text, &len);

	if (r < 0)
		return r;
	memset(ret, 0, sizeof(*ret));
	const char *name = status_field(text, "Name");
	const char *state = status_field(text, "State");
	const char *uids = status_field(text, "Uid");
	if (!name || !state || !uids)
		return -ENODATA;
	size_t name_len = strcspn(name, "\n");
	if (name_len >= sizeof(ret->name))
		name_len = sizeof(ret->name) - 1;
	memcpy(ret->name, name, name_len);
	ret->state = *state;
	char *end;
	ret->uid = (uid_t)strtoul(uids, &end, 10);
	ret->euid = (uid_t)strtoul(end, NULL, 10);
	ret->tgid = (pid_t)status_number(text, "Tgid");
	ret->ppid = (pid_t)status_number(text, "PPid");
	ret->tracer = (pid_t)status_number(text, "TracerPid");
	ret->seccomp = (int)status_number(text, "Seccomp");
	ret->threads = (size_t)status_number(text, "Threads");
	return 0;
}

int os_proc_flags(pid_t pid, uint64_t *ret)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = os_proc_read(pid, 0, "stat", &text, &len);

	if (r < 0)
		return r;
	// The name in field 2 may hold anything, also ") ": the last parenthesis ends it.
	const char *s = strrchr(text, ')');
	unsigned long long flags;
	if (!s || sscanf(s, ") %*c %*d %*d %*d %*d %*d %llu", &flags) != 1)
		return -ENODATA;
	*ret = flags;
	return 0;
}

int os_proc_start_time(pid_t pid, uint64_t *ret)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = os_proc_read(pid, 0, "stat", &text, &len);

	if (r < 0)
		return r;
	const char *s = strrchr(text, ')');
	unsigned long long start;
	if (!s || sscanf(s,
			 ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d "
			 "%*d %*d %*d %*d %llu",
			 &start) != 1)
		return -ENODATA;
	*ret = start;
	return 0;
}

long os_proc_syscall(pid_t pid, pid_t tid)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	long nr;

	if (os_proc_read(pid, tid, "syscall", &text, &len) < 0)
		return -1;
	return sscanf(text, "%ld", &nr) == 1 ? nr : -1;
}

int os_proc_tasks(pid_t pid, pid_t **tids, size_t *n)
{
	_cleanup_free_ pid_t *list = NULL;
	size_t used = 0, cap = 0;
	char path[64];
	int r = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *dir = opendir(path);
	if (!dir)
		return -errno;
	for (struct dirent *d; (d = readdir(dir));) {
		if (d->d_name[0] < '1' || d->d_name[0] > '9')
			continue;
		if (used == cap) {
			cap = cap ? cap * 2 : 64;
			pid_t *grown = realloc(list, cap * sizeof(*list));
			if (!grown) {
				r = -ENOMEM;
				break;
			}
			list = grown;
		}
		list[used++] = (pid_t)strtol(d->d_name, NULL, 10);
	}
	closedir(dir);
	if (r < 0)
		return r;
	*tids = take_ptr(list);
	*n = used;
	return 0;
}

int os_proc_lock(pid_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	return take_fd(&fd);
}

int os_proc_locker(pid_t pid, pid_t *ret)
{
	_cleanup_free_ char *text = NULL;
	char path[32];
	struct stat st;
	size_t len;

	*ret = 0;
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	_cleanup_close_ int fd = open("/proc/locks", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || stat(path, &st) < 0)
		return -errno;
	int r = os_read_all(fd, &text, &len);
	if (r < 0)
		return r;
	// "1: FLOCK  ADVISORY  WRITE 1234 00:15:5678 0 EOF"; waiting ones have "->" behind the number.
	for (char *line = text; line && *line; line = strchr(line, '\n')) {
		unsigned maj, min;
		unsigned long ino;
		int holder;

		line += *line == '\n';
		if (sscanf(line, "%*u: FLOCK ADVISORY WRITE %d %x:%x:%lu", &holder, &maj,
			   &min, &ino) == 4 &&
		    makedev(maj, min) == st.st_dev && ino == st.st_ino) {
			*ret = (pid_t)holder;
			break;
		}
	}
	return 0;
}

int os_read_u64(const char *path, uint64_t *ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	size_t len;
	char *end;

	if (fd < 0)
		return -errno;
	int r = os_read_all(fd, &text, &len);
	if (r < 0)
		return r;
	errno = 0;
	uint64_t value = strtoull(text, &end, 0);
	if (errno || end == text)
		return -ENODATA;
	*ret = value;
	return 0;
}
