// SPDX-License-Identifier: LGPL-2.1-or-later
// Bringing back interval timers and POSIX timers, each with the time it had left, under the ids they had.
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "os/kernel.h"
#include "os/uapi.h"
#include "resource/calls.h"
#include "resource/json.h"
#include "resource/signals.h"
#include "resource/threads.h"
#include "resource/timers.h"
#include "util/cleanup.h"

enum { TIMERS_MAX = 1 << 16, TRIES_MAX = 1 << 16 };
static const int64_t NS = 1000000000, NS_PER_US = 1000;

static struct timespec spec_of(int64_t ns)
{
	return (struct timespec){.tv_sec = ns / NS, .tv_nsec = ns % NS};
}

// A timer that had less than a microsecond left is about to run, not off.
static struct timeval us_of(int64_t ns)
{
	int64_t us = ns / NS_PER_US + (ns > 0 && ns < NS_PER_US);

	return (struct timeval){.tv_sec = us / (NS / NS_PER_US),
				.tv_usec = us % (NS / NS_PER_US)};
}

static struct err *get_times(const json_t *o, int64_t *left, int64_t *interval)
{
	TRY(json_get_int(o, "left", 0, INT64_MAX, left));
	return json_get_int(o, "interval", 0, INT64_MAX, interval);
}

static struct err *restore_itimers(struct restorer *r, const json_t *timers)
{
	_cleanup_(call_list_deinit) struct call_list l = {0};

	for (uint64_t i = 0; i < ITIMERS; i++) {
		int64_t left, interval;
		const json_t *o;
		taddr_t at;

		TRY(json_opt_object(timers, itimer_names[i], &o));
		if (!o)
			continue;
		TRY(get_times(o, &left, &interval));
		struct itimerval v = {.it_value = us_of(left),
				      .it_interval = us_of(interval)};
		TRY(remote_put(r->remote, &v, sizeof(v), &at));
		TRY(CALL(&l, "set an interval timer", SYS_setitimer, i, at));
	}
	return call_list_run(&l, r->remote, r->remote->tid);
}

// With ids as they were saved.
static struct err *parse_timer(const json_t *o, struct posix_timer *t)
{
	int64_t left, interval;

	TRY(json_get_i32(o, "id", 0, INT32_MAX, &t->id));
	TRY(json_get_i32(o, "clock", INT32_MIN, INT32_MAX, &t->clock));
	TRY(json_get_i32(o, "notify", 0, SIGEV_THREAD | SIGEV_THREAD_ID, &t->notify));
	TRY(json_get_i32(o, "signal", 0, UAPI_SIGNALS, &t->signal));
	TRY(json_get_mask(o, "value", &t->value));
	if (t->notify & SIGEV_THREAD_ID)
		TRY(json_get_pid(o, "thread", &t->target));
	TRY(get_times(o, &left, &interval));
	t->left.it_value = spec_of(left);
	t->left.it_interval = spec_of(interval);
	return NULL;
}

static struct err *get_timer(struct restorer *r, const json_t *o, struct posix_timer *t)
{
	TRY(parse_timer(o, t));
	pid_t owner = clock_owner(t->clock);
	if (t->target)
		t->target = r->tid_of(r, t->target);
	if (owner)
		t->clock = clock_of(t->clock, r->tid_of(r, owner));
	return NULL;
}

struct maker { // of timers, in one process
	struct restorer *r;
	bool by_id; // the kernel takes the wanted id
	struct sigevent *event;
	int *id;
	taddr_t event_at, id_at;
};

// A timer of a thread's clock belongs to the thread that makes it.
static pid_t maker_of(const struct maker *m, const struct posix_timer *t)
{
	return t->target ? t->target : m->r->remote->tid;
}

static struct err *make_once(struct maker *m, const struct posix_timer *t, int *id)
{
	int64_t ret;

	*m->event =
		(struct sigevent){.sigev_signo = t->signal,
				  .sigev_notify = t->notify,
				  .sigev_value.sival_ptr = (void *)(uintptr_t)t->value};
	m->event->_sigev_un._tid = t->target;
	*m->id = t->id;
	TRY(remote_call_in(
		m->r->remote, maker_of(m, t), SYS_timer_create,
		(uint64_t[6]){(uint64_t)(int64_t)t->clock, m->event_at, m->id_at}, &ret));
	*id = *m->id;
	return ret < 0 ? err_sys((int)ret, "cannot make timer %d again in process %d",
				 t->id, m->r->remote->pid)
		       : NULL;
}

static struct err *delete_timer(const struct restorer *r, int id)
{
	int64_t ret;

	TRY(remote_call(r->remote, SYS_timer_delete, (uint64_t[6]){(uint64_t)id}, &ret));
	return ret < 0 ? err_sys((int)ret, "cannot delete timer %d in process %d", id,
				 r->remote->pid)
		       : NULL;
}

// Ids are given in ascending order (before Linux 6.15 there is no way to choose): those in between are made and deleted.
static struct err *make_timer(struct maker *m, const struct posix_timer *t)
{
	for (size_t i = 0; i < TRIES_MAX; i++) {
		int id;

		TRY(make_once(m, t, &id));
		if (id == t->id)
			return NULL;
		TRY(delete_timer(m->r, id));
		if (m->by_id)
			break;
	}
	return err_refuse("timer-id", "timer",
			  "timer %d of the saved process cannot get its id again", t->id);
}

static struct err *arm(struct maker *m, const struct posix_timer *t)
{
	const size_t mark = m->r->remote->used;
	int64_t ret;
	taddr_t at;

	if (!t->left.it_value.tv_sec && !t->left.it_value.tv_nsec)
		return NULL;
	TRY(remote_put(m->r->remote, &t->left, sizeof(t->left), &at));
	struct err *e = remote_call(m->r->remote, SYS_timer_settime,
				    (uint64_t[6]){(uint64_t)t->id, 0, at}, &ret);
	remote_release(m->r->remote, mark);
	TRY(e);
	return ret < 0 ? err_sys((int)ret, "cannot set timer %d of process %d", t->id,
				 m->r->remote->pid)
		       : NULL;
}

static struct err *choose_ids(struct maker *m, bool on)
{
	int64_t ret;

	TRY(remote_call(m->r->remote, SYS_prctl,
			(uint64_t[6]){UAPI_PR_TIMER_CREATE_RESTORE_IDS, on}, &ret));
	m->by_id = on && ret == 0;
	return NULL;
}

static struct err *make_all(struct maker *m, const json_t *list)
{
	const json_t *o;

	for (size_t i = 0; i < json_array_size(list); i++) {
		struct posix_timer t = {0};

		TRY(json_item_object(list, i, &o));
		TRY(json_at(get_timer(m->r, o, &t), "posix", i));
		TRY(make_timer(m, &t));
		TRY(arm(m, &t));
	}
	return NULL;
}

static struct err *restore_posix(struct restorer *r, const json_t *timers)
{
	struct maker m = {.r = r};
	const json_t *list;
	void *room;

	TRY(json_opt_array(timers, "posix", TIMERS_MAX, &list));
	if (!json_array_size(list))
		return NULL;
	TRY(remote_room(r->remote, sizeof(*m.event), &room));
	m.event = room;
	TRY(remote_room(r->remote, sizeof(*m.id), &room));
	m.id = room;
	m.event_at = remote_at(r->remote, m.event);
	m.id_at = remote_at(r->remote, m.id);
	TRY(choose_ids(&m, true));
	struct err *e = make_all(&m, list);
	return m.by_id ? err_first(e, choose_ids(&m, false)) : e;
}

struct err *restore_timers(struct restorer *r)
{
	const size_t mark = r->remote->used;
	const json_t *timers;

	TRY(json_get_object(r->state, "timers", &timers));
	struct err *e = restore_itimers(r, timers);
	if (!e)
		e = restore_posix(r, timers);
	remote_release(r->remote, mark);
	return e;
}

static struct err *check_known(const json_t *state, pid_t id, const char *what)
{
	const json_t *thread;
	pid_t tid;
	size_t n;

	TRY(threads_count(state, &n));
	for (size_t i = 0; i < n; i++) {
		TRY(thread_at(state, i, &thread, &tid));
		if (tid == id)
			return NULL;
	}
	return err_new(ERR_CORRUPT, "the %s of a timer is %d, no thread of it", what, id);
}

static struct err *check_posix(const json_t *state, const json_t *timers)
{
	const json_t *list, *o;

	TRY(json_opt_array(timers, "posix", TIMERS_MAX, &list));
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct posix_timer t = {0};

		TRY(json_item_object(list, i, &o));
		TRY(json_at(parse_timer(o, &t), "posix", i));
		pid_t owner = clock_owner(t.clock);
		if (owner)
			TRY(check_known(state, owner, "clock"));
		if (t.target)
			TRY(check_known(state, t.target, "thread"));
	}
	return NULL;
}

struct err *check_timers(const json_t *state)
{
	const json_t *timers, *o;
	int64_t left, interval;

	TRY(json_get_object(state, "timers", &timers));
	for (size_t i = 0; i < ITIMERS; i++) {
		TRY(json_opt_object(timers, itimer_names[i], &o));
		if (o)
			TRY(err_wrap(get_times(o, &left, &interval), "%s",
				     itimer_names[i]));
	}
	return check_posix(state, timers);
}
