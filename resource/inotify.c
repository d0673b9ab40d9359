// SPDX-License-Identifier: LGPL-2.1-or-later
// inotify: watches by the file handles that fdinfo tells, resolved to paths, with their numbers.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "os/kernel.h"
#include "os/proc.h"
#include "resource/kinds.h"
#include "util/cleanup.h"

enum {
	HANDLE_MAX = 128, // MAX_HANDLE_SZ
	WATCHES_MAX = 1 << 20,
	USER_MASK = IN_ALL_EVENTS | IN_ONESHOT | IN_EXCL_UNLINK,
};

static bool recognises(const struct open_file *f)
{
	return !strcmp(f->path, "anon_inode:inotify") ||
	       !strcmp(f->path, "anon_inode:[inotify]");
}

struct watch {
	int wd;
	uint64_t ino;
	uint32_t mask;
	dev_t dev;
	struct {
		struct file_handle head;
		uint8_t room[HANDLE_MAX];
	} handle;
};

static bool parse_handle(const char *hex, struct watch *w, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (sscanf(hex + 2 * i, "%2hhx", &w->handle.room[i]) != 1)
			return false;
	return true;
}

static bool parse(const char *line, struct watch *w)
{
	unsigned sdev, mask, ignored, bytes;
	int type, at = 0;

	if (sscanf(line,
		   "inotify wd:%x ino:%" SCNx64 " sdev:%x mask:%x ignored_mask:%x "
		   "fhandle-bytes:%x fhandle-type:%x f_handle:%n",
		   (unsigned *)&w->wd, &w->ino, &sdev, &mask, &ignored, &bytes,
		   (unsigned *)&type, &at) < 7 ||
	    !at || bytes > HANDLE_MAX)
		return false;
	w->mask = mask & USER_MASK;
	w->dev = makedev(sdev >> 20, sdev & 0xfffff);
	w->handle.head.handle_bytes = bytes;
	w->handle.head.handle_type = type;
	return parse_handle(line + at, w, bytes);
}

// A mount of the device, of those the process sees.
static int open_mount(const char *mounts, dev_t dev)
{
	char number[32], path[PATH_MAX];

	snprintf(number, sizeof(number), "%u:%u", major(dev), minor(dev));
	for (const char *line = mounts; line && *line; line = strchr(line, '\n')) {
		char device[32];

		line += *line == '\n';
		if (sscanf(line, "%*d %*d %31s %*s %4095s", device, path) != 2 ||
		    strcmp(device, number) != 0)
			continue;
		int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
		if (fd >= 0)
			return fd;
	}
	errno = ENOENT;
	return -1;
}

static struct err *resolve(const struct open_file *f, const char *mounts, struct watch *w,
			   char *path, size_t size)
{
	_cleanup_close_ int mount = open_mount(mounts, w->dev);
	_cleanup_close_ int fd =
		mount < 0 ? -1
			  : open_by_handle_at(mount, &w->handle.head, O_PATH | O_CLOEXEC);
	char link[40];
	struct stat st;

	if (fd < 0)
		return open_file_refuse(f, "inotify-watch",
					"what watch %d (inode %" PRIu64
					") is about cannot be found: %s",
					w->wd, w->ino, strerror(errno));
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, size - 1);
	path[n < 0 ? 0 : n] = 0;
	if (n < 0 || lstat(path, &st) || st.st_ino != w->ino)
		return open_file_refuse(f, "inotify-watch",
					"watch %d is about inode %" PRIu64
					", which no path leads to",
					w->wd, w->ino);
	return NULL;
}

static struct err *save_watches(const struct open_file *f, const char *mounts,
				json_t *list)
{
	char path[PATH_MAX + 1];

	for (const char *line = strstr(f->info, "inotify wd:"); line;
	     line = strstr(line + 1, "\ninotify wd:")) {
		struct watch w = {0};
		json_t *o;

		line += *line == '\n';
		if (!parse(line, &w))
			return err_new(ERR_UNSUPPORTED,
				       "the kernel tells watches in an unknown form");
		TRY(resolve(f, mounts, &w, path, sizeof(path)));
		TRY(json_add_object(list, &o));
		TRY(json_put_int(o, "wd", w.wd));
		TRY(json_put_int(o, "mask", w.mask));
		TRY(json_put_text(o, "path", path));
	}
	return NULL;
}

static struct err *save(const struct open_file *f, json_t *object)
{
	_cleanup_close_ int here = -1;
	_cleanup_free_ char *mounts = NULL;
	json_t *list;
	size_t len;
	int unread;

	int r = os_proc_read(f->s->process->pid, 0, "mountinfo", &mounts, &len);
	if (r < 0)
		return err_sys(r, "cannot read the mounts of process %d",
			       f->s->process->pid);
	TRY(json_put_array(object, "watches", &list));
	TRY(save_watches(f, mounts, list));
	TRY(open_file_here(f, &here));
	if (!ioctl(here, FIONREAD, &unread) && unread)
		return saving_note(
			f->s->all,
			"events that descriptor %d (inotify) of process %d has not "
			"read (%d bytes) are not saved",
			f->fd, f->pid, unread);
	return NULL;
}

// The kernel gives numbers in ascending order; with the ioctl the next one can be said.
static struct err *add_watch(int fd, const json_t *o)
{
	_cleanup_free_ char *path = NULL;
	int wd, mask, got;

	TRY(json_get_i32(o, "wd", 1, INT32_MAX, &wd));
	TRY(json_get_i32(o, "mask", 0, INT32_MAX, &mask));
	TRY(json_get_text(o, "path", PATH_MAX - 1, &path));
	if (ioctl(fd, UAPI_INOTIFY_IOC_SETNEXTWD, wd))
		return err_sys(errno, "cannot choose the number of a watch");
	uint32_t bits = (uint32_t)mask & USER_MASK;
	got = inotify_add_watch(fd, path, bits | IN_DONT_FOLLOW | IN_MASK_CREATE);
	if (got < 0 && errno == ENOENT)
		return err_refuse("file-gone", path, "%s, which is watched, is gone",
				  path);
	if (got < 0)
		return err_sys(errno, "cannot watch %s", path);
	return got == wd ? NULL
			 : err_new(ERR_INTERNAL, "watch %d came out as %d", wd, got);
}

static struct err *make(struct restoring *all, size_t index, const json_t *object)
{
	const json_t *list, *o;

	TRY(json_get_array(object, "watches", WATCHES_MAX, &list));
	all->files[index] = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (all->files[index] < 0)
		return err_sys(errno, "cannot make an inotify");
	for (size_t i = 0; i < json_array_size(list); i++) {
		TRY(json_item_object(list, i, &o));
		TRY(json_at(add_watch(all->files[index], o), "watches", i));
	}
	return NULL;
}

const struct file_kind kind_inotify = {
	.name = "inotify", .recognises = recognises, .save = save, .make = make};
