// SPDX-License-Identifier: LGPL-2.1-or-later
// Descriptors: new ones are closed; those that lead to what they led to keep it, with its offset, flags and state put back;
// others are made again, or refused. Connections that live go on as they are.
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "rollback/descriptors.h"

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
		if (table_skipped(s) || s->given != INT_MAX)
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
		if (s->now || table_skipped(s) || table_leader(t, s))
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
		struct saved_fd *leader =
			s->now || s->given >= 0 ? NULL : table_leader(t, s);

		if (leader)
			TRY(add_dup(rb, leader->fd, s->fd, s->cloexec));
		else if (table_skipped(s) && !s->now)
			TRY(rollback_note(rb,
					  "descriptor %d (%s) was left out when it was "
					  "saved and stays as it is",
					  s->fd, s->path));
	}
	return NULL;
}

static struct err *plan(struct rollback *rb, struct table *t)
{
	TRY(table_read(rb, t));
	TRY(make_again(rb, t));
	TRY(place(rb, t));
	return states_plan(rb, t);
}

struct err *descriptors_plan(struct rollback *rb)
{
	struct table t = {.top = -1};
	struct err *e = plan(rb, &t);

	table_deinit(&t);
	return e;
}
