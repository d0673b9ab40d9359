// SPDX-License-Identifier: LGPL-2.1-or-later
// Descriptors: new ones are closed; those that lead to what they led to keep it, with its offset, flags and state put back;
// others are made again, or refused. Connections that live go on as they are.
//
// Whether a descriptor leads to the same open file description nobody can tell for certain; it does when it has the same
// number, kind and inode. Two that were one are made one again.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "os/fds.h"
#include "os/proc.h"
#include "resource/kinds.h"
#include "rollback/impl.h"

enum {
	FD_MAX = 1 << 20,
	SETTABLE = O_APPEND | O_NONBLOCK | O_NOATIME | O_DIRECT,
	READS_MAX = 1 << 10,
};
static const int64_t SECOND = 1000000000;

struct present { // a descriptor as it is
	int fd, flags;
	bool cloexec, kept, wanted;
	uint64_t pos;
	char *path, *info;
};

struct saved_fd {
	int fd;
	bool cloexec;
	size_t file;
	const json_t *object;
	const char *kind;
	char *path;
	struct present *now; // leads to the same; NULL: does not
	int given;	     // number where what was made again waits; -1: none
};

struct table {
	VEC(struct present) now;
	VEC(struct saved_fd) saved;
	int top; // highest number of both
};

static void table_deinit(struct table *t)
{
	vec_for_each(p, &t->now) {
		free(p->path);
		free(p->info);
	}
	vec_for_each(s, &t->saved)
		free(s->path);
	vec_free(&t->now);
	vec_free(&t->saved);
}

static struct err *read_present(const struct rollback *rb, int dir, int fd,
				struct present *p)
{
	char number[32], path[PATH_MAX + 1];
	uint64_t flags = 0;
	size_t len;

	snprintf(number, sizeof(number), "%d", fd);
	ssize_t n = readlinkat(dir, number, path, sizeof(path) - 1);
	if (n < 0)
		return err_sys(errno, "cannot look at descriptor %d of process %d", fd,
			       rb->p->pid);
	path[n] = '\0';
	snprintf(number, sizeof(number), "fdinfo/%d", fd);
	int r = os_proc_read(rb->p->pid, 0, number, &p->info, &len);
	if (r < 0)
		return err_sys(r, "cannot look at descriptor %d of process %d", fd,
			       rb->p->pid);
	p->path = strdup(path);
	if (!p->path)
		return err_nomem();
	p->fd = fd;
	if (!fdinfo_u64(p->info, "flags", 8, &flags) ||
	    !fdinfo_u64(p->info, "pos", 10, &p->pos))
		return err_new(ERR_INTERNAL, "descriptor %d has no flags", fd);
	p->flags = (int)(flags & ~(uint64_t)O_CLOEXEC);
	p->cloexec = flags & O_CLOEXEC;
	return NULL;
}

static struct err *read_all_present(const struct rollback *rb, struct table *t)
{
	_cleanup_close_ int dir =
		os_proc_open(rb->p->pid, 0, "fd", O_RDONLY | O_DIRECTORY);
	_cleanup_free_ int *fds = NULL;
	size_t n = 0;
	int r = dir < 0 ? dir : os_fds(dir, &fds, &n);

	if (r < 0)
		return err_sys(r, "cannot list the descriptors of process %d", rb->p->pid);
	TRY(vec_reserve(&t->now, n));
	for (size_t i = 0; i < n; i++) {
		t->now.v[i] = (struct present){0};
		t->now.n++;
		TRY(read_present(rb, dir, fds[i], &t->now.v[i]));
		t->top = MAX(t->top, fds[i]);
	}
	return NULL;
}

static struct err *read_saved(const struct rollback *rb, const json_t *list, size_t i,
			      struct table *t)
{
	const json_t *entry, *files;
	struct saved_fd s = {.given = -1};
	uint64_t file;

	TRY(json_item_object(list, i, &entry));
	TRY(json_get_array(rb->objects, "files", FD_MAX, &files));
	TRY(json_get_i32(entry, "fd", 0, FD_MAX - 1, &s.fd));
	TRY(json_get_bool(entry, "cloexec", &s.cloexec));
	TRY(json_get_u64(entry, "file", FD_MAX, &file));
	s.file = file;
	TRY(json_item_object(files, file, &s.object));
	TRY(json_get_string(s.object, "kind", &s.kind));
	TRY(json_get_text(s.object, "path", PATH_MAX, &s.path));
	t->top = MAX(t->top, s.fd);
	struct err *e = vec_push(&t->saved, s);
	if (e)
		free(s.path);
	return e;
}

static struct present *present_at(struct table *t, int fd)
{
	size_t lo = 0;

	for (size_t hi = t->now.n; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;

		if (t->now.v[mid].fd < fd)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < t->now.n && t->now.v[lo].fd == fd ? &t->now.v[lo] : NULL;
}

static bool is_skipped(const struct saved_fd *s)
{
	return json_is_true(json_object_get(s->object, "skipped"));
}

// The first descriptor that leads to the object of `s` as saved; NULL: none, or `s` itself.
static struct saved_fd *leader_of(struct table *t, const struct saved_fd *s)
{
	vec_for_each(it, &t->saved) {
		if (it == s)
			return NULL;
		if (it->file == s->file && (it->now || it->given >= 0))
			return it;
	}
	return NULL;
}

static bool same_access(int a, int b)
{
	return (a & (O_ACCMODE | O_PATH)) == (b & (O_ACCMODE | O_PATH));
}

static struct err *match(const struct rollback *rb, struct table *t, struct saved_fd *s)
{
	struct present *p = present_at(t, s->fd);
	int flags;

	TRY(json_get_i32(s->object, "flags", 0, INT32_MAX, &flags));
	if (p)
		p->wanted = true;
	if (!p || strcmp(p->path, s->path) != 0 || !same_access(p->flags, flags))
		return NULL;
	// One of two that were one, and are two now, is made again from the other.
	vec_for_each(it, &t->saved) {
		if (it == s)
			break;
		if (it->file == s->file && it->now &&
		    os_kcmp_file(rb->p->pid, it->fd, rb->p->pid, s->fd) != 0)
			return NULL;
	}
	p->kept = true;
	s->now = p;
	return NULL;
}

static struct err *gone(const struct rollback *rb, const struct saved_fd *s,
			const char *why)
{
	return err_refuse(
		"descriptor-gone", s->path,
		"descriptor %d (%s, %s) of process %d has been closed since: %s", s->fd,
		s->kind, s->path, rb->p->pid, why);
}

// What exists only as a whole: its other end may live.
static bool has_other_end(const struct saved_fd *s)
{
	return !strcmp(s->kind, "pipe") || !strcmp(s->kind, "unix") ||
	       !strcmp(s->kind, "terminal");
}

static struct err *check_remakable(struct rollback *rb, const struct table *t,
				   const struct saved_fd *s)
{
	if (json_has(s->object, "outside"))
		return NULL; // opened where it is
	if (has_other_end(s)) {
		vec_for_each(p, &t->now)
			if (!strcmp(p->path, s->path))
				return gone(rb, s,
					    "it cannot come back while its other end "
					    "lives");
		return NULL;
	}
	if (!strcmp(s->kind, "tcp") && json_has(s->object, "remote"))
		return rollback_note(
			rb,
			"descriptor %d (%s): the connection has ended since; "
			"the program finds it reset",
			s->fd, s->path);
	return NULL;
}

// The document with everything left out that need not be made.
static struct err *want_only(struct rollback *rb, const struct table *t, bool *any)
{
	json_t *files;

	*any = false;
	rb->wanted = json_deep_copy(rb->objects);
	files = json_object_get(rb->wanted, "files");
	if (!rb->wanted)
		return err_nomem();
	for (size_t i = 0; i < json_array_size(files); i++)
		if (json_object_set_new(json_array_get(files, i), "skipped", json_true()))
			return err_nomem();
	vec_for_each(s, &t->saved) {
		if (is_skipped(s) || s->given != INT_MAX)
			continue;
		*any = true;
		json_object_del(json_array_get(files, s->file), "skipped");
	}
	return NULL;
}

static struct err *receive(struct rollback *rb, struct table *t)
{
	struct err *e = ask_open_channel(rb->r);

	vec_for_each(s, &t->saved) {
		if (e || s->given != INT_MAX)
			continue;
		int fd = s->file < rb->restoring.n_files ? rb->restoring.files[s->file]
							 : -1;
		e = fd < 0 ? gone(rb, s, "it cannot be made again")
			   : remote_give(rb->r, &fd, 1, &s->given);
		rb->ret->reopened += !e;
	}
	return err_first(e, ask_close_channel(rb->r));
}

static struct err *make_again(struct rollback *rb, struct table *t)
{
	static const struct restore_options opt = {.files = FILES_ANY, .tcp_close = true};
	bool any;

	vec_for_each(s, &t->saved) {
		if (s->now || is_skipped(s) || leader_of(t, s))
			continue;
		TRY(check_remakable(rb, t, s));
		s->given = INT_MAX; // to come
	}
	TRY(want_only(rb, t, &any));
	if (!any)
		return NULL;
	rb->restoring.opt = &opt;
	rb->restoring.objects = rb->wanted;
	TRY(restore_objects(&rb->restoring));
	return receive(rb, t);
}

static struct err *add_dup(struct rollback *rb, int from, int to, bool cloexec)
{
	return ADD(&rb->calls, "put a descriptor back", SYS_dup3, (uint64_t)from,
		   (uint64_t)to, cloexec ? O_CLOEXEC : 0);
}

static struct err *add_close(struct rollback *rb, int fd)
{
	return ADD(&rb->calls, NULL, SYS_close, (uint64_t)fd);
}

// A limit that was higher when it was saved is raised before this.
static struct err *check_room(const struct rollback *rb, int need)
{
	const json_t *limits = json_object_get(rb->state, "limits");
	json_int_t saved =
		json_integer_value(json_array_get(json_object_get(limits, "nofile"), 0));
	struct rlimit limit;

	if (prlimit(rb->p->pid, RLIMIT_NOFILE, NULL, &limit) ||
	    (rlim_t)need < MAX(limit.rlim_cur, (rlim_t)saved))
		return NULL;
	return err_refuse("descriptor-gone", rb->p->comm,
			  "process %d has no room for %d descriptors (RLIMIT_NOFILE)",
			  rb->p->pid, need);
}

// Numbers: what was made again waits at low ones that may be another's, so that all move up first.
static struct err *place(struct rollback *rb, struct table *t)
{
	int high = t->top + 1, n = 0;

	vec_for_each(p, &t->now) {
		if (p->kept || p->wanted)
			continue;
		TRY(add_close(rb, p->fd));
		rb->ret->closed++;
	}
	vec_for_each(s, &t->saved)
		n += s->given >= 0;
	if (n)
		TRY(check_room(rb, high + 2 * n));
	vec_for_each(s, &t->saved)
		if (s->given >= 0)
			high = MAX(high, s->given + 1);
	n = 0;
	vec_for_each(s, &t->saved)
		if (s->given >= 0)
			TRY(add_dup(rb, s->given, high + n++, true));
	vec_for_each(s, &t->saved)
		if (s->given >= 0)
			TRY(add_close(rb, s->given));
	n = 0;
	vec_for_each(s, &t->saved) {
		if (s->given < 0)
			continue;
		TRY(add_dup(rb, high + n, s->fd, s->cloexec));
		TRY(add_close(rb, high + n++));
	}
	vec_for_each(s, &t->saved) {
		struct saved_fd *leader = s->now || s->given >= 0 ? NULL : leader_of(t, s);

		if (leader)
			TRY(add_dup(rb, leader->fd, s->fd, s->cloexec));
		else if (is_skipped(s) && !s->now)
			TRY(rollback_note(rb,
					  "descriptor %d (%s) was left out when it was "
					  "saved and stays as it is",
					  s->fd, s->path));
	}
	return NULL;
}

static struct timespec from_ns(int64_t ns)
{
	return (struct timespec){ns / SECOND, ns % SECOND};
}

static struct err *put_timerfd_back(struct rollback *rb, const struct saved_fd *s)
{
	int64_t left, interval, at;
	uint64_t ticks;
	taddr_t spec_at;
	int settime;

	TRY(json_get_int(s->object, "left", 0, INT64_MAX, &left));
	TRY(json_get_int(s->object, "interval", 0, INT64_MAX, &interval));
	TRY(json_opt_int(s->object, "at", 1, INT64_MAX, 0, &at));
	TRY(json_get_i32(s->object, "settime", 0, 3, &settime));
	TRY(json_get_mask(s->object, "ticks", &ticks));
	struct itimerspec spec = {.it_interval = from_ns(interval),
				  .it_value = from_ns(at ? at : left)};
	// Expirations that were not read yet: it expires at once.
	if (ticks && !left && !at)
		spec.it_value.tv_nsec = 1;
	TRY(stage_put(rb, &spec, sizeof(spec), &spec_at));
	return ADD(&rb->calls, "arm a timerfd", SYS_timerfd_settime, (uint64_t)s->fd,
		   at ? (uint64_t)settime : 0, spec_at, 0);
}

static struct err *put_eventfd_back(struct rollback *rb, const struct saved_fd *s)
{
	uint64_t now = 0, semaphore = 0, count;
	taddr_t at, scratch;

	TRY(json_get_mask(s->object, "count", &count));
	fdinfo_u64(s->now->info, "eventfd-count", 16, &now);
	fdinfo_u64(s->now->info, "eventfd-semaphore", 10, &semaphore);
	if (now == count)
		return NULL;
	TRY(stage_put(rb, &count, sizeof(count), &at));
	TRY(stage_put(rb, &count, sizeof(count), &scratch));
	for (uint64_t i = 0; i < (semaphore ? MIN(now, (uint64_t)READS_MAX) : now != 0);
	     i++)
		TRY(ADD(&rb->calls, NULL, SYS_read, (uint64_t)s->fd, scratch,
			sizeof(count)));
	return count ? ADD(&rb->calls, "set the count of an eventfd", SYS_write,
			   (uint64_t)s->fd, at, sizeof(count))
		     : NULL;
}

static struct err *put_signalfd_back(struct rollback *rb, const struct saved_fd *s)
{
	uint64_t mask;
	taddr_t at;

	TRY(json_get_mask(s->object, "mask", &mask));
	TRY(stage_put(rb, &mask, sizeof(mask), &at));
	return ADD(&rb->calls, "set the mask of a signalfd", SYS_signalfd4,
		   (uint64_t)s->fd, at, sizeof(mask), 0);
}

static bool has_offset(const struct saved_fd *s)
{
	return !strcmp(s->kind, "regular") || !strcmp(s->kind, "directory") ||
	       !strcmp(s->kind, "memfd") || !strcmp(s->kind, "proc");
}

// What the same open file description had.
static struct err *put_state_back(struct rollback *rb, const struct saved_fd *s)
{
	uint64_t offset;
	int flags;

	TRY(json_get_i32(s->object, "flags", 0, INT32_MAX, &flags));
	TRY(json_get_u64(s->object, "offset", INT64_MAX, &offset));
	if ((flags ^ s->now->flags) & SETTABLE && !(flags & O_PATH))
		TRY(ADD(&rb->calls, "set file status flags", SYS_fcntl, (uint64_t)s->fd,
			F_SETFL, (uint64_t)(flags & SETTABLE)));
	if (s->cloexec != s->now->cloexec)
		TRY(ADD(&rb->calls, "set close-on-exec", SYS_fcntl, (uint64_t)s->fd,
			F_SETFD, s->cloexec ? FD_CLOEXEC : 0));
	if (has_offset(s) && offset != s->now->pos)
		TRY(ADD(&rb->calls, "set a file offset", SYS_lseek, (uint64_t)s->fd,
			offset, SEEK_SET));
	if (!strcmp(s->kind, "timerfd"))
		return put_timerfd_back(rb, s);
	if (!strcmp(s->kind, "eventfd"))
		return put_eventfd_back(rb, s);
	if (!strcmp(s->kind, "signalfd"))
		return put_signalfd_back(rb, s);
	return NULL;
}

static struct err *put_states_back(struct rollback *rb, struct table *t)
{
	vec_for_each(s, &t->saved)
		if (s->now && !is_skipped(s))
			TRY(err_wrap(put_state_back(rb, s), "descriptor %d", s->fd));
	vec_for_each(s, &t->saved)
		if (!strcmp(s->kind, "epoll") && !is_skipped(s) && !leader_of(t, s))
			TRY(epoll_plan(rb, s->fd, s->object, !s->now));
	return NULL;
}

static struct err *plan(struct rollback *rb, struct table *t)
{
	const json_t *list;

	TRY(read_all_present(rb, t));
	TRY(json_get_array(rb->state, "descriptors", FD_MAX, &list));
	for (size_t i = 0; i < json_array_size(list); i++)
		TRY(json_at(read_saved(rb, list, i, t), "descriptors", i));
	vec_for_each(s, &t->saved)
		TRY(match(rb, t, s));
	TRY(make_again(rb, t));
	TRY(place(rb, t));
	return put_states_back(rb, t);
}

struct err *descriptors_plan(struct rollback *rb)
{
	struct table t = {.top = -1};
	struct err *e = plan(rb, &t);

	table_deinit(&t);
	return e;
}
