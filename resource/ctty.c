// SPDX-License-Identifier: LGPL-2.1-or-later
// The controlling terminal of a session. Only its leader takes one, and before it has children, for they inherit it; so it is
// found by a descriptor that the leader has of it.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "os/proc.h"
#include "resource/calls.h"
#include "resource/json.h"
#include "resource/process.h"
#include "util/cleanup.h"

enum { DESCRIPTORS_MAX = 1 << 20 };

// As /proc/PID/stat has it (kernel, new_encode_dev).
static dev_t device_of(uint64_t number)
{
	return makedev(number >> 8 & 0xfff,
		       (unsigned)((number & 0xff) | (number >> 12 & 0xfff00)));
}

static void cleanup_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}

// The lowest descriptor that leads to it, -1: none.
static int descriptor_of(pid_t pid, dev_t device)
{
	char path[300];
	int found = -1;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	_cleanup_(cleanup_dir) DIR *d = opendir(path);
	for (const struct dirent *e; d && (e = readdir(d));) {
		struct stat st;
		int fd = atoi(e->d_name);

		snprintf(path, sizeof(path), "/proc/%d/fd/%s", pid, e->d_name);
		if (e->d_name[0] != '.' && !stat(path, &st) && S_ISCHR(st.st_mode) &&
		    st.st_rdev == device && (found < 0 || fd < found))
			found = fd;
	}
	return found;
}

struct err *save_ctty(struct saver *s, uint64_t number, bool foreground)
{
	json_t *o;
	int fd = descriptor_of(s->process->pid, device_of(number));

	TRY(json_put_object(s->state, "terminal", &o));
	TRY(json_put_int(o, "device", (int64_t)number));
	TRY(json_put_bool(o, "foreground", foreground));
	return fd < 0 ? NULL : json_put_int(o, "fd", fd);
}

struct saved_ctty {
	int fd; // -1: none that leads there
	bool foreground;
};

static struct err *get_ctty(const json_t *state, struct saved_ctty *ret)
{
	const json_t *o;

	*ret = (struct saved_ctty){.fd = -1};
	TRY(json_opt_object(state, "terminal", &o));
	if (!o)
		return NULL;
	TRY(json_get_bool(o, "foreground", &ret->foreground));
	return json_opt_i32(o, "fd", 0, INT32_MAX, -1, &ret->fd);
}

// The tool's own descriptor of what was number `fd` there; -1: none.
static struct err *find_object(const struct restorer *r, int fd, int *ret)
{
	const json_t *list, *o;
	uint64_t file;
	int number;

	*ret = -1;
	TRY(json_opt_array(r->state, "descriptors", DESCRIPTORS_MAX, &list));
	for (size_t i = 0; i < json_array_size(list); i++) {
		TRY(json_item_object(list, i, &o));
		TRY(json_at(json_get_i32(o, "fd", 0, INT32_MAX, &number), "descriptors",
			    i));
		if (number != fd)
			continue;
		TRY(json_at(json_get_u64(o, "file", INT32_MAX, &file), "descriptors", i));
		*ret = file < r->all->n_files ? r->all->files[file] : -1;
		return NULL;
	}
	return NULL;
}

struct err *restore_ctty(struct restorer *r)
{
	struct saved_ctty saved;
	int64_t ret, closed;
	int fd, there;

	TRY(get_ctty(r->state, &saved));
	if (saved.fd < 0)
		return NULL;
	TRY(find_object(r, saved.fd, &fd));
	if (fd < 0)
		return NULL;
	TRY(remote_give(r->remote, &fd, 1, &there));
	TRY(remote_call(r->remote, SYS_ioctl, (uint64_t[6]){(uint64_t)there, TIOCSCTTY},
			&ret));
	TRY(remote_call(r->remote, SYS_close, (uint64_t[6]){(uint64_t)there}, &closed));
	return ret < 0 ? restoring_note(r->all,
					"process %d has no controlling terminal: that of "
					"the saved process is another session's now",
					r->remote->pid)
		       : NULL;
}

// For the leader of a group that was in the foreground; the terminal says no when it is no longer that of the session.
struct err *restore_foreground(struct restorer *r)
{
	const size_t mark = r->remote->used;
	struct saved_ctty saved;
	taddr_t at;
	int64_t ret;

	TRY(get_ctty(r->state, &saved));
	if (saved.fd < 0 || !saved.foreground)
		return NULL;
	TRY(remote_put(r->remote, &r->remote->pid, sizeof(pid_t), &at));
	struct err *e =
		remote_call(r->remote, SYS_ioctl,
			    (uint64_t[6]){(uint64_t)saved.fd, TIOCSPGRP, at}, &ret);
	remote_release(r->remote, mark);
	return e;
}

struct err *check_ctty(const json_t *state)
{
	struct saved_ctty saved;

	return get_ctty(state, &saved);
}
