// SPDX-License-Identifier: LGPL-2.1-or-later
// epoll: its registrations remember the number and the open file description they were made with. They are made again in
// the process that had that number, when everything is at its place.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/param.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "os/fds.h"
#include "resource/files.h"
#include "util/cleanup.h"

enum {
	REGISTRATIONS_MAX = 1 << 20,
	FD_MAX = 1 << 20,
	PORTION = 256,
};

static bool recognises(const struct open_file *f)
{
	return !strcmp(f->path, "anon_inode:[eventpoll]");
}

static struct err *save(const struct open_file *f, json_t *object)
{
	(void)f;
	(void)object;
	return NULL;
}

// One line of fdinfo.
struct registration {
	int fd;
	uint32_t events;
	uint64_t data;
	dev_t dev;
	ino_t ino;
	uint32_t nth; // among those with this number
};

static bool parse(const char *line, struct registration *r)
{
	unsigned long long pos, ino;
	unsigned sdev;

	if (sscanf(line,
		   "tfd: %d events: %" SCNx32 " data: %" SCNx64
		   " pos:%lli ino:%llx sdev:%x",
		   &r->fd, &r->events, &r->data, (long long *)&pos, &ino, &sdev) != 6)
		return false;
	r->ino = ino;
	r->dev = makedev(sdev >> 20, sdev & 0xfffff); // the kernel's own form of dev_t
	return true;
}

static struct err *is_target(const struct open_file *f, const struct registration *r,
			     size_t index, bool *same)
{
	const struct open_file *other = saving_open_file(f->s->all, index);

	*same = false;
	if (other->st.st_ino != r->ino || other->st.st_dev != r->dev)
		return NULL;
	// A socket's inode has one description only. The comparison takes the kernel a walk through all registrations.
	*same = S_ISSOCK(other->st.st_mode);
	if (*same)
		return NULL;
	int c = os_kcmp_epoll(other->pid, other->fd, f->pid, f->fd, r->fd, r->nth);

	*same = c == 0;
	return c < 0 ? err_sys(c, "cannot compare the registrations of %s", f->path)
		     : NULL;
}

// The object at this number, which mostly is the one.
static bool at_number(const struct open_file *f, int fd, size_t *index)
{
	const json_t *list = json_object_get(f->s->state, "descriptors");
	size_t lo = 0, hi = json_array_size(list);

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const json_t *entry = json_array_get(list, mid);
		json_int_t number = json_integer_value(json_object_get(entry, "fd"));

		if (number == fd) {
			*index = (size_t)json_integer_value(
				json_object_get(entry, "file"));
			return true;
		}
		if (number < fd)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

static struct err *find_target(const struct open_file *f, const struct registration *r,
			       size_t *index)
{
	size_t at = 0;
	bool same = false;

	if (at_number(f, r->fd, index))
		TRY(is_target(f, r, *index, &same));
	while (!same && saving_next_on_inode(f->s->all, r->dev, r->ino, &at, index))
		TRY(is_target(f, r, *index, &same));
	if (same)
		return NULL;
	return open_file_refuse(
		f, "epoll-target",
		"it watches something that was registered as descriptor %d "
		"and that only a process outside has",
		r->fd);
}

static struct err *save_registration(const struct open_file *f,
				     const struct registration *r, json_t *list)
{
	json_t *o;
	size_t index = 0;

	TRY(find_target(f, r, &index));
	if (json_is_true(json_object_get(index_at(f->s->all->index, index)->object,
					 "skipped")))
		return NULL;
	TRY(json_add_object(list, &o));
	TRY(json_put_int(o, "fd", r->fd));
	TRY(json_put_int(o, "events", r->events));
	TRY(json_put_mask(o, "data", r->data));
	return json_put_int(o, "file", (json_int_t)index);
}

static int by_number(const void *a, const void *b)
{
	const struct registration *x = a, *y = b;

	return x->fd != y->fd ? (x->fd > y->fd) - (x->fd < y->fd)
			      : (x->nth > y->nth) - (x->nth < y->nth);
}

// Registrations of one number are told apart by their order in the kernel's tree, which is that of fdinfo.
static void number_equals(struct registration *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		r[i].nth = (uint32_t)i;
	qsort(r, n, sizeof(*r), by_number);
	uint32_t same = 0;
	for (size_t i = 0; i < n; i++) {
		same = i && r[i].fd == r[i - 1].fd ? same + 1 : 0;
		r[i].nth = same;
	}
}

static struct err *save_late(const struct open_file *f, json_t *object)
{
	VEC(struct registration) v = {0};
	struct registration r;
	struct err *e = NULL;
	json_t *list;

	TRY(json_put_int(object, "pid", f->pid));
	TRY(json_put_array(object, "registrations", &list));
	for (const char *line = strstr(f->info, "tfd:"); line && !e;
	     line = strstr(line + 1, "\ntfd:")) {
		line += *line == '\n';
		if (parse(line, &r))
			e = vec_push(&v, r);
		else
			e = err_new(ERR_UNSUPPORTED,
				    "the kernel tells registrations in an unknown form");
	}
	if (!e && v.n)
		number_equals(v.v, v.n);
	for (size_t i = 0; i < v.n && !e; i++)
		e = save_registration(f, &v.v[i], list);
	vec_free(&v);
	return e;
}

static struct err *make(struct restoring *all, size_t index, const json_t *object)
{
	(void)object;
	all->files[index] = epoll_create1(EPOLL_CLOEXEC);
	return all->files[index] < 0 ? err_sys(errno, "cannot make an epoll") : NULL;
}

static struct err *read_registration(const struct restorer *r, const json_t *list,
				     size_t i, struct registration *ret, size_t *file)
{
	const json_t *o;
	uint64_t events, index;

	TRY(json_item_object(list, i, &o));
	TRY(json_get_i32(o, "fd", 0, FD_MAX - 1, &ret->fd));
	TRY(json_get_u64(o, "events", UINT32_MAX, &events));
	TRY(json_get_mask(o, "data", &ret->data));
	TRY(json_get_u64(o, "file", r->all->n_files - 1, &index));
	ret->events = (uint32_t)events;
	*file = (size_t)index;
	if (r->all->files[index] < 0)
		return err_new(ERR_CORRUPT, "the file it watches was not made");
	return NULL;
}

// Whether the number leads to the file in the process.
static bool is_there(const struct restorer *r, int fd, size_t file)
{
	return os_kcmp_file(r->remote->pid, fd, getpid(), r->all->files[file]) == 0;
}

// Lends the number: what it leads to is put aside meanwhile. Nothing that is watched is closed by it, for it stays open aside.
static struct err *add_elsewhere(struct restorer *r, int epoll, struct registration *reg,
				 size_t file, struct epoll_event *event)
{
	struct remote *m = r->remote;
	int given;
	int64_t aside, flags;
	uint64_t number = (uint64_t)reg->fd;

	TRY(remote_give(m, &r->all->files[file], 1, &given));
	if (given == reg->fd) // it was free, and the lowest
		return remote_must(
			m,
			(struct syscall_req[]){{.nr = SYS_epoll_ctl,
						.args = {(uint64_t)epoll, EPOLL_CTL_ADD,
							 number, remote_at(m, event)}},
					       {.nr = SYS_close, .args = {number}}},
			2, "cannot watch a file");
	TRY(remote_call(m, SYS_fcntl, (uint64_t[6]){number, F_GETFD}, &flags));
	TRY(remote_call(m, SYS_fcntl, (uint64_t[6]){number, F_DUPFD_CLOEXEC, 0}, &aside));
	TRY(remote_must(m,
			(struct syscall_req[]){
				{.nr = SYS_dup3, .args = {(uint64_t)given, number, 0}},
				{.nr = SYS_epoll_ctl,
				 .args = {(uint64_t)epoll, EPOLL_CTL_ADD, number,
					  remote_at(m, event)}},
				{.nr = SYS_close, .args = {(uint64_t)given}}},
			3, "cannot watch a file"));
	if (aside < 0)
		return remote_must(
			m, (struct syscall_req[]){{.nr = SYS_close, .args = {number}}}, 1,
			"cannot close a descriptor");
	return remote_must(
		m,
		(struct syscall_req[]){{.nr = SYS_dup3,
					.args = {(uint64_t)aside, number,
						 flags & FD_CLOEXEC ? O_CLOEXEC : 0}},
				       {.nr = SYS_close, .args = {(uint64_t)aside}}},
		2, "cannot put a descriptor back");
}

// Its wake-ups come to the process that registered it, not to the one that reads it (signalfd_poll() of the kernel).
static bool is_signalfd(const struct restorer *r, size_t file)
{
	const char *kind = json_string_value(
		json_object_get(restoring_object(r->all, file), "kind"));

	return kind && !strcmp(kind, kind_signalfd.name);
}

// One portion: those whose number leads to their file at once, the others one by one.
static struct err *add_portion(struct restorer *r, int epoll, const json_t *list,
			       size_t from, size_t to)
{
	struct remote *m = r->remote;
	struct syscall_req reqs[2 * PORTION];
	struct epoll_event *events = remote_take(m, sizeof(*events) * (to - from));
	size_t n = 0, file = 0;
	struct registration reg = {0};

	if (!events)
		return err_new(ERR_INTERNAL, "no room for registrations");
	for (size_t i = from; i < to; i++) {
		struct epoll_event *e = &events[i - from];

		TRY(json_at(read_registration(r, list, i, &reg, &file), "registrations",
			    i));
		*e = (struct epoll_event){.events = reg.events, .data.u64 = reg.data};
		// The process that was made first has registered the rest, under the same numbers.
		if (r->all->again && !is_signalfd(r, file))
			continue;
		if (r->all->again && !is_there(r, reg.fd, file)) {
			TRY(restoring_note(
				r->all,
				"signals do not wake descriptor %d (epoll) any "
				"more: the signalfd it watches has no number",
				epoll));
			continue;
		}
		if (r->all->again)
			reqs[n++] = (struct syscall_req){
				.nr = SYS_epoll_ctl,
				.args = {(uint64_t)epoll, EPOLL_CTL_DEL, (uint64_t)reg.fd}};
		if (is_there(r, reg.fd, file))
			reqs[n++] = (struct syscall_req){
				.nr = SYS_epoll_ctl,
				.args = {(uint64_t)epoll, EPOLL_CTL_ADD, (uint64_t)reg.fd,
					 remote_at(m, e)}};
		else
			TRY(add_elsewhere(r, epoll, &reg, file, e));
	}
	return n ? remote_must(m, reqs, n, "cannot watch files") : NULL;
}

static struct err *finish(struct restorer *r, size_t index, const json_t *object, int fd)
{
	const json_t *list;
	pid_t pid, saved;

	(void)index;
	TRY(json_get_pid(object, "pid", &pid));
	TRY(json_get_pid(r->state, "pid", &saved));
	if (pid != saved) // another process that shares it has the numbers
		return NULL;
	TRY(json_get_array(object, "registrations", REGISTRATIONS_MAX, &list));
	for (size_t i = 0; i < json_array_size(list); i += PORTION) {
		size_t mark = r->remote->used;
		struct err *e = add_portion(r, fd, list, i,
					    MIN(i + PORTION, json_array_size(list)));

		remote_release(r->remote, mark);
		TRY(e);
	}
	return NULL;
}

const struct file_kind kind_epoll = {.name = "epoll",
				     .recognises = recognises,
				     .save = save,
				     .save_late = save_late,
				     .make = make,
				     .finish = finish};
