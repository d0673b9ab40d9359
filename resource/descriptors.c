// SPDX-License-Identifier: LGPL-2.1-or-later
// The descriptors of a process: which numbers lead to which object.
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "os/fds.h"
#include "os/proc.h"
#include "resource/files.h"
#include "resource/locks.h"
#include "resource/outside.h"
#include "resource/owner.h"
#include "util/cleanup.h"

enum {
	FD_MAX = 1 << 20, // fs.nr_open as it comes
	PORTION = 128,	  // descriptors in one message and one batch of calls
};

static struct err *save_one(struct saver *s, int fd, int dir, int infos, json_t *list)
{
	struct open_file f = {.s = s, .pid = s->process->pid, .fd = fd};
	json_t *entry;
	size_t index;
	bool cloexec;

	TRY(index_add(s->all->index, &f, dir, infos, &index, &cloexec));
	TRY(json_add_object(list, &entry));
	TRY(json_put_int(entry, "fd", fd));
	TRY(json_put_bool(entry, "cloexec", cloexec));
	return json_put_int(entry, "file", (json_int_t)index);
}

// clone(CLONE_FILES) without CLONE_THREAD: what one opens the other has, which is not made again.
static struct err *check_table(const struct saver *s)
{
	pid_t parent = (pid_t)json_integer_value(json_object_get(s->state, "ppid"));

	if (parent > 0 && index_has_process(s->all->index, parent) &&
	    os_kcmp_tables(s->process->pid, parent) == 0)
		return err_refuse(
			"shares-descriptors", s->process->comm,
			"process %d shares its descriptor table with its parent "
			"%d",
			s->process->pid, parent);
	return NULL;
}

struct err *save_descriptors(struct saver *s)
{
	pid_t pid = s->process->pid;
	_cleanup_close_ int dir = os_proc_open(pid, 0, "fd", O_RDONLY | O_DIRECTORY);
	_cleanup_close_ int infos = os_proc_open(pid, 0, "fdinfo", O_RDONLY | O_DIRECTORY);
	_cleanup_free_ int *fds = NULL;
	size_t n = 0;
	json_t *list;

	if (dir < 0 || infos < 0)
		return err_sys(dir < 0 ? dir : infos,
			       "cannot see descriptors of process %d", pid);
	int r = os_fds(dir, &fds, &n);
	if (r < 0)
		return err_sys(r, "cannot list the descriptors of process %d", pid);
	TRY(index_open(s, &s));
	TRY(check_table(s));
	TRY(json_put_array(s->state, "descriptors", &list));
	for (size_t i = 0; i < n; i++)
		TRY(save_one(s, fds[i], dir, infos, list));
	return NULL;
}

// Restoring: which number gets which object.

struct wanted {
	int fd;
	bool cloexec;
	size_t file;
};

struct plan {
	VEC(struct wanted) v; // ascending; without those that are left out
	int top;	      // the highest number, -1: none
};

static void plan_deinit(struct plan *p)
{
	vec_free(&p->v);
}

static int by_number(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	return (x->fd > y->fd) - (x->fd < y->fd);
}

static struct err *plan_entry(const struct restorer *r, const json_t *list, size_t i,
			      struct plan *p)
{
	const json_t *entry;
	struct wanted w;
	uint64_t file;

	TRY(json_item_object(list, i, &entry));
	TRY(json_get_i32(entry, "fd", 0, FD_MAX - 1, &w.fd));
	TRY(json_get_bool(entry, "cloexec", &w.cloexec));
	TRY(json_get_u64(entry, "file", r->all->n_files - 1, &file));
	w.file = (size_t)file;
	p->top = MAX(p->top, w.fd);
	if (json_is_true(json_object_get(restoring_object(r->all, w.file), "skipped")))
		return restoring_note(
			r->all,
			"descriptor %d of process %d is closed: it was left "
			"out when it was saved",
			w.fd, r->remote->pid);
	return vec_push(&p->v, w);
}

static struct err *plan_read(const struct restorer *r, struct plan *p)
{
	const json_t *list;

	TRY(json_get_array(r->state, "descriptors", FD_MAX, &list));
	if (json_array_size(list) && !r->all->n_files)
		return err_new(ERR_CORRUPT, "there are descriptors, but no files");
	for (size_t i = 0; i < json_array_size(list); i++)
		TRY(json_at(plan_entry(r, list, i, p), "descriptors", i));
	if (p->v.n)
		qsort(p->v.v, p->v.n, sizeof(*p->v.v), by_number);
	for (size_t i = 1; i < p->v.n; i++)
		if (p->v.v[i].fd == p->v.v[i - 1].fd)
			return err_new(ERR_CORRUPT, "descriptor %d stands twice",
				       p->v.v[i].fd);
	return NULL;
}

// Files that only exist now that the process does.
static struct err *make_late(struct restorer *r, const struct plan *p)
{
	vec_for_each(w, &p->v) {
		const json_t *object = restoring_object(r->all, w->file);
		const char *name = json_string_value(json_object_get(object, "kind"));
		const struct file_kind *kind = file_kind_named(name ? name : "");

		if (r->all->files[w->file] >= 0)
			continue;
		if (kind && kind->make_late)
			TRY(kind->make_late(r, w->file, object));
		if (r->all->files[w->file] < 0)
			return err_new(ERR_INTERNAL, "object %zu was not made", w->file);
	}
	return NULL;
}

// Room for every number, for the channel above them, and for those that epolls remember. The saved limits come later.
static struct err *raise_limit(const struct restorer *r, const struct plan *p)
{
	rlim_t need = (rlim_t)p->top + 2 + PORTION;
	struct rlimit now;

	if (prlimit(r->remote->pid, RLIMIT_NOFILE, NULL, &now))
		return err_sys(errno, "cannot see the limits of process %d",
			       r->remote->pid);
	rlim_t top = MAX(now.rlim_max, need);
	if (!prlimit(r->remote->pid, RLIMIT_NOFILE, &(struct rlimit){top, top}, NULL))
		return NULL;
	return err_sys(errno,
		       "the limit of open files (%llu) is too low for descriptor %d",
		       (unsigned long long)now.rlim_max, p->top);
}

// Everything is closed but the channel, which moves above all numbers to come.
static struct err *clear_table(struct remote *r, int top)
{
	uint64_t to = (uint64_t)top + 1;
	struct syscall_req reqs[3];
	size_t n = 0;

	if (r->remote_channel != (int)to)
		reqs[n++] = (struct syscall_req){
			.nr = SYS_dup3,
			.args = {(uint64_t)r->remote_channel, to, O_CLOEXEC}};
	if (to)
		reqs[n++] = (struct syscall_req){.nr = SYS_close_range,
						 .args = {0, to - 1, 0}};
	reqs[n++] = (struct syscall_req){.nr = SYS_close_range,
					 .args = {to + 1, UINT32_MAX, 0}};
	TRY(remote_must(r, reqs, n, "cannot close what was open"));
	r->remote_channel = (int)to;
	return NULL;
}

// Descriptors arrive at the lowest free numbers. Everything below a wanted number that is in use is wanted there, so each
// arrives at its number or below it, and moves from the last to the first never meet.
static struct err *place(struct remote *r, const struct wanted *w, const int *there,
			 size_t n)
{
	struct syscall_req reqs[2 * PORTION];
	size_t m = 0;

	for (size_t i = n; i-- > 0;) {
		if (there[i] > w[i].fd || there[i] < 0)
			return err_new(ERR_INTERNAL,
				       "descriptor %d arrived at %d in process %d",
				       w[i].fd, there[i], r->pid);
		if (there[i] < w[i].fd) {
			reqs[m++] = (struct syscall_req){
				.nr = SYS_dup3,
				.args = {(uint64_t)there[i], (uint64_t)w[i].fd,
					 w[i].cloexec ? O_CLOEXEC : 0}};
			reqs[m++] = (struct syscall_req){.nr = SYS_close,
							 .args = {(uint64_t)there[i]}};
		} else if (w[i].cloexec) {
			reqs[m++] = (struct syscall_req){
				.nr = SYS_fcntl,
				.args = {(uint64_t)w[i].fd, F_SETFD, FD_CLOEXEC}};
		}
	}
	return m ? remote_must(r, reqs, m, "cannot place descriptors") : NULL;
}

static struct err *give_all(struct restorer *r, const struct plan *p)
{
	int fds[PORTION], there[PORTION];

	for (size_t i = 0; i < p->v.n; i += PORTION) {
		size_t n = MIN(p->v.n - i, (size_t)PORTION);

		for (size_t j = 0; j < n; j++) {
			const struct wanted *w = &p->v.v[i + j];
			TRY(outside_number(r->all, w->file, w->fd, &fds[j]));
		}
		TRY(remote_give(r->remote, fds, n, there));
		TRY(place(r->remote, p->v.v + i, there, n));
	}
	return NULL;
}

static struct err *finish_all(struct restorer *r, const struct plan *p)
{
	_cleanup_free_ bool *done = calloc(r->all->n_files + 1, 1);

	if (!done)
		return err_nomem();
	vec_for_each(w, &p->v) {
		const json_t *object = restoring_object(r->all, w->file);
		const struct file_kind *kind = file_kind_named(
			json_string_value(json_object_get(object, "kind")));

		if (!done[w->file] && kind->finish)
			TRY(kind->finish(r, w->file, object, w->fd));
		if (!done[w->file])
			TRY(owner_make(r, w->file, object, w->fd));
		done[w->file] = true;
	}
	return NULL;
}

struct err *restore_descriptors(struct restorer *r)
{
	_cleanup_(plan_deinit) struct plan p = {.top = -1};

	TRY(plan_read(r, &p));
	TRY(make_late(r, &p));
	TRY(raise_limit(r, &p));
	TRY(clear_table(r->remote, p.top));
	TRY(give_all(r, &p));
	TRY(finish_all(r, &p));
	return restore_locks(r);
}
