// SPDX-License-Identifier: LGPL-2.1-or-later
// Opening what an object names; see reopen.h.
#include "resource/reopen.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"

enum {
	OPENABLE = O_ACCMODE | O_APPEND | O_DIRECT | O_NOATIME | O_NONBLOCK | O_SYNC |
		   O_DSYNC | O_DIRECTORY | O_PATH | O_LARGEFILE | O_NOFOLLOW,
};

struct err *reopen_flags(const json_t *object, int *flags)
{
	TRY(json_get_i32(object, "flags", 0, INT32_MAX, flags));
	*flags = (*flags & OPENABLE) | O_CLOEXEC | O_NOCTTY;
	return NULL;
}

// What is in the file tree is looked at before it is opened: opening a device or a FIFO can do something.
struct err *reopen_path(const json_t *object, mode_t type, int *fd)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int place = -1;
	struct stat st;
	int flags;

	TRY(reopen_flags(object, &flags));
	TRY(json_get_text(object, "path", PATH_MAX - 1, &path));
	if (path[0] != '/')
		return err_new(ERR_CORRUPT, "'%s' is no absolute path", path);
	place = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (place < 0 && (errno == ENOENT || errno == ENOTDIR))
		return err_refuse(
			"file-gone", path,
			"file %s was open when the process was saved and is not "
			"there any more",
			path);
	if (place < 0 || fstat(place, &st))
		return err_sys(errno, "cannot open %s", path);
	if ((st.st_mode & S_IFMT) != type)
		return err_refuse("file-changed", path,
				  "%s is a file of another type now", path);
	if (flags & O_PATH)
		*fd = flags & O_NOFOLLOW ? take_fd(&place) : open(path, flags);
	else if (flags & O_NOFOLLOW)
		*fd = open(path, flags | O_NONBLOCK);
	else
		return err_wrap(reopen_fd(place, object, fd), "%s", path);
	return *fd < 0 ? err_sys(errno, "cannot open %s", path) : NULL;
}

struct err *reopen_fd(int fd, const json_t *object, int *ret)
{
	char path[40];
	struct stat st;
	int flags;

	TRY(reopen_flags(object, &flags));
	if (fstat(fd, &st))
		return err_sys(errno, "cannot look at it");
	// Pipes take O_DIRECT from fcntl only.
	if (S_ISFIFO(st.st_mode))
		flags &= ~O_DIRECT;
	// O_TMPFILE has this bit, too.
	if (!S_ISDIR(st.st_mode))
		flags &= ~O_DIRECTORY;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	*ret = open(path, (flags & ~O_NOFOLLOW) | O_NONBLOCK);
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
