// SPDX-License-Identifier: LGPL-2.1-or-later
// Which program a process runs; see status.h.
#include "update/status.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "elf/module.h"
#include "os/pids.h"
#include "os/proc.h"
#include "util/cleanup.h"

static const uint64_t kernel_thread_flag = 0x00200000; // PF_KTHREAD, include/linux/sched.h

void status_deinit(struct status *s)
{
	record_deinit(&s->record);
	record_list_deinit(&s->libraries);
}

void status_list_deinit(struct status_list *l)
{
	vec_for_each(s, &l->v)
		status_deinit(s);
	vec_free(&l->v);
}

struct err *status_check_pid(pid_t pid, struct os_status *status)
{
	_cleanup_free_ char *name = NULL;
	uint64_t flags = 0;
	int rc = os_proc_status(pid, 0, status);

	if (asprintf(&name, "%d", (int)pid) < 0)
		return err_nomem();
	if (rc == -ENOENT || rc == -ESRCH)
		return err_refuse("pid-gone", name, "there is no process %d", (int)pid);
	if (rc < 0)
		return err_sys(rc, "cannot look at process %d", (int)pid);
	if (status->state == 'Z' || status->state == 'X')
		return err_refuse("zombie", name, "process %d (%s) has ended", (int)pid,
				  status->name);
	if (os_proc_flags(pid, &flags) == 0 && flags & kernel_thread_flag)
		return err_refuse("kernel-thread", name, "%d (%s) is a kernel thread",
				  (int)pid, status->name);
	return NULL;
}

// A process that was never updated runs the program it started with.
static struct err *make_generation_zero(pid_t pid, struct record *ret)
{
	_cleanup_(module_closep) struct module *exe = NULL;
	struct record_image image = {};
	char path[PATH_MAX], link[64];
	int rc = os_proc_link(pid, 0, "exe", path, sizeof(path));

	if (rc < 0)
		return err_sys(rc, "cannot see which program process %d runs", (int)pid);
	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	TRY(module_open(link, NULL, &exe));
	image.path = strdup(path);
	image.build_id = strdup(exe->build_id);
	struct err *e = image.path && image.build_id ? vec_push(&ret->images, image)
						     : err_nomem();
	if (e) {
		free(image.path);
		free(image.build_id);
	}
	return e;
}

static struct err *read_record(pid_t pid, struct status *ret)
{
	_cleanup_(maps_deinit) struct maps maps = {};
	_cleanup_(record_list_deinit) struct record_list records = {};

	int rc = os_proc_locker(pid, &ret->tool);
	if (rc < 0 && !os_proc_is_gone(rc))
		return err_sys(rc, "cannot see who works on process %d", (int)pid);
	TRY(maps_read(pid, &maps));
	TRY(under_way_read(pid, &maps, &ret->under_way));
	TRY(record_list_read(pid, &maps, &records));
	ret->generation = record_list_generation(&records);
	struct found_record *exe = record_of_exe(&records);
	if (exe) {
		struct found_record *last = &records.v.v[records.v.n - 1];

		ret->record = exe->record; // taken over
		ret->updated = true;
		memmove(exe, exe + 1, (size_t)(last - exe) * sizeof(*exe));
		records.v.n--;
	}
	vec_for_each(f, &records.v) {
		if (!record_is_mapped(&f->record, &maps))
			continue;
		TRY(vec_push(&ret->libraries.v, *f));
		f->record = (struct record){}; // taken over
	}
	return NULL;
}

struct err *status_read(pid_t pid, struct status *ret)
{
	struct os_status status;

	*ret = (struct status){.pid = pid};
	TRY(status_check_pid(pid, &status));
	memcpy(ret->comm, status.name, sizeof(ret->comm));
	struct err *e = read_record(pid, ret);
	if (!e && !ret->updated)
		e = make_generation_zero(pid, &ret->record);
	if (e)
		status_deinit(ret);
	return e;
}

static int by_pid(const void *a, const void *b)
{
	const struct status *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

// Adds the process if it was updated. That it ended meanwhile or is another user's is no error.
static struct err *add_if_updated(pid_t pid, struct status_list *list)
{
	struct os_status status;
	struct status s = {.pid = pid};
	_cleanup_(err_freep) struct err *why = status_check_pid(pid, &status);

	if (!why)
		why = read_record(pid, &s);
	if (why) {
		list->unreadable += why->kind == ERR_PERM || why->kind == ERR_CORRUPT ||
				    why->kind == ERR_UNSUPPORTED;
		return NULL;
	}
	if (!s.generation && !s.tool)
		return NULL;
	memcpy(s.comm, status.name, sizeof(s.comm));
	struct err *e = s.updated ? NULL : make_generation_zero(pid, &s.record);
	if (e) { // it ended, or its program is another user's
		err_free(e);
		status_deinit(&s);
		return NULL;
	}
	e = vec_push(&list->v, s);
	if (e)
		status_deinit(&s);
	return e;
}

struct err *status_list_read(struct status_list *ret)
{
	_cleanup_free_ pid_t *pids = NULL;
	size_t n;
	int rc = os_pids(&pids, &n);

	*ret = (struct status_list){};
	if (rc < 0)
		return err_sys(rc, "cannot list the processes");
	for (size_t i = 0; i < n; i++) {
		struct err *e = add_if_updated(pids[i], ret);

		if (e) {
			status_list_deinit(ret);
			return e;
		}
	}
	if (ret->v.n)
		qsort(ret->v.v, ret->v.n, sizeof(*ret->v.v), by_pid);
	return NULL;
}
