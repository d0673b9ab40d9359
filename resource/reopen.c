// SPDX-License-Identifier: LGPL-2.1-or-later
// Opening what an object names; see reopen.h.
#include "resource/reopen.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "util/cleanup.h"

enum {
	OPENABLE = O_ACCMODE | O_APPEND | O_DIRECT | O_NOATIME | O_NONBLOCK | O_SYNC |
		   O_DSYNC | O_DIRECTORY | O_PATH | O_LARGEFILE,
};

struct err *reopen_flags(const json_t *object, int *flags)
{
	TRY(json_get_i32(object, "flags", 0, INT32_MAX, flags));
	*flags = (*flags & OPENABLE) | O_CLOEXEC | O_NOCTTY;
	return NULL;
}

struct err *reopen_path(const json_t *object, int more, int *fd)
{
	_cleanup_free_ char *path = NULL;
	int flags;

	TRY(reopen_flags(object, &flags));
	TRY(json_get_text(object, "path", PATH_MAX - 1, &path));
	if (path[0] != '/')
		return err_new(ERR_CORRUPT, "'%s' is no absolute path", path);
	*fd = open(path, flags | more | O_NOFOLLOW | O_NONBLOCK);
	if (*fd >= 0)
		return NULL;
	if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
		return err_refuse(
			"file-gone", path,
			"file %s was open when the process was saved and is not "
			"there any more",
			path);
	return err_sys(errno, "cannot open %s", path);
}

struct err *reopen_fd(int fd, const json_t *object, int *ret)
{
	char path[40];
	int flags;

	TRY(reopen_flags(object, &flags));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	*ret = open(path, (flags & ~O_DIRECTORY) | O_NONBLOCK);
	return *ret < 0 ? err_sys(errno, "cannot open it anew") : NULL;
}

struct err *reopen_seek(int fd, const json_t *object)
{
	uint64_t at;

	TRY(json_get_u64(object, "offset", INT64_MAX, &at));
	if (at && lseek(fd, (off_t)at, SEEK_SET) < 0)
		return err_sys(errno, "cannot seek to %llu", (unsigned long long)at);
	return NULL;
}
