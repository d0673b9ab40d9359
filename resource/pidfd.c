// SPDX-License-Identifier: LGPL-2.1-or-later
// pidfd: of a process that is saved as well, or of one that lives on and is known again by when it started.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/proc.h"
#include "resource/files.h"
#include "util/cleanup.h"

static bool recognises(const struct open_file *f)
{
	return !strcmp(f->path, "anon_inode:[pidfd]") || !strncmp(f->path, "pidfd:", 6);
}

static struct err *save(const struct open_file *f, json_t *object)
{
	uint64_t pid;

	// -1: its process has ended and was collected; 0: it is in another namespace.
	if (!fdinfo_u64(f->info, "Pid", 10, &pid) || pid == 0 || pid > INT32_MAX)
		return open_file_refuse(f, "unsaved-descriptor",
					"its process has ended, or is not visible");
	return json_put_int(object, "pid", (json_int_t)pid);
}

static struct err *save_late(const struct open_file *f, json_t *object)
{
	pid_t pid = (pid_t)json_integer_value(json_object_get(object, "pid"));
	uint64_t started;

	if (index_has_process(f->s->all->index, pid))
		return json_put_bool(object, "saved", true);
	int r = os_proc_start_time(pid, &started);
	if (r < 0)
		return open_file_refuse(f, "unsaved-descriptor", "its process has ended");
	return json_put_int(object, "started", (json_int_t)started);
}

static struct err *open_process(pid_t pid, const json_t *object, int *ret)
{
	int flags;

	TRY(json_get_i32(object, "flags", 0, INT32_MAX, &flags));
	*ret = (int)syscall(SYS_pidfd_open, pid, 0);
	return *ret < 0 ? err_sys(errno, "cannot open process %d", pid) : NULL;
}

static struct err *make(struct restoring *all, size_t index, const json_t *object)
{
	uint64_t started, now;
	pid_t pid;
	bool saved;

	TRY(json_opt_bool(object, "saved", false, &saved));
	if (saved)
		return NULL;
	TRY(json_get_pid(object, "pid", &pid));
	TRY(json_get_u64(object, "started", INT64_MAX, &started));
	TRY(open_process(pid, object, &all->files[index]));
	if (os_proc_start_time(pid, &now) < 0 || now != started)
		return err_refuse("file-gone", NULL,
				  "process %d, which a pidfd leads to, has ended", pid);
	return NULL;
}

static struct err *make_late(struct restorer *r, size_t index, const json_t *object)
{
	pid_t saved;

	TRY(json_get_pid(object, "pid", &saved));
	pid_t pid = r->tid_of(r, saved);
	if (pid <= 0)
		return restoring_bad(index, object, "process %d is not in the image",
				     saved);
	return open_process(pid, object, &r->all->files[index]);
}

const struct file_kind kind_pidfd = {.name = "pidfd",
				     .recognises = recognises,
				     .save = save,
				     .save_late = save_late,
				     .make = make,
				     .make_late = make_late};
