// SPDX-License-Identifier: LGPL-2.1-or-later
// Interval timers and POSIX timers: armed with the time that was left, new ones deleted.
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "os/proc.h"
#include "os/uapi.h"
#include "rollback/impl.h"

static const int64_t SECOND = 1000000000, MICRO = 1000;
enum { TIMERS_MAX = 1 << 16 };

static struct timespec from_ns(int64_t ns)
{
	return (struct timespec){ns / SECOND, ns % SECOND};
}

static struct timeval us_from_ns(int64_t ns)
{
	int64_t us = ns ? (ns + MICRO - 1) / MICRO : 0;

	return (struct timeval){us / 1000000, us % 1000000};
}

static struct err *add_itimers(struct rollback *rb, const json_t *timers)
{
	static const char *const names[] = {"real", "virtual", "profile"}; // by number

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct itimerval v = {0};
		int64_t left = 0, interval = 0;
		const json_t *o;
		taddr_t at;

		TRY(json_opt_object(timers, names[i], &o));
		if (o) {
			TRY(json_get_int(o, "left", 0, INT64_MAX - MICRO, &left));
			TRY(json_get_int(o, "interval", 0, INT64_MAX - MICRO, &interval));
		}
		v.it_value = us_from_ns(left);
		v.it_interval = us_from_ns(interval);
		TRY(stage_put(rb, &v, sizeof(v), &at));
		TRY(ADD(&rb->calls, "set an interval timer", SYS_setitimer, i, at, 0));
	}
	return NULL;
}

struct ids {
	VEC(int) v;
};

static struct err *present_timers(const struct rollback *rb, struct ids *ret)
{
	_cleanup_free_ char *text = NULL;
	char *rest = NULL;
	size_t len;

	if (os_proc_read(rb->p->pid, 0, "timers", &text, &len) < 0)
		return NULL;
	for (char *line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest))
		if (!strncmp(line, "ID: ", 4))
			TRY(vec_push(&ret->v, (int)strtol(line + 4, NULL, 10)));
	return NULL;
}

static bool has(const struct ids *l, int id)
{
	vec_for_each(it, &l->v)
		if (*it == id)
			return true;
	return false;
}

// struct sigevent, whose members for a thread glibc hides.
static struct err *event_of(const json_t *o, struct sigevent *ev, int *clock)
{
	uint64_t value;
	int thread;

	TRY(json_get_i32(o, "clock", INT32_MIN, INT32_MAX, clock));
	TRY(json_get_i32(o, "notify", 0, SIGEV_THREAD | SIGEV_THREAD_ID,
			 &ev->sigev_notify));
	TRY(json_get_i32(o, "signal", 0, 64, &ev->sigev_signo));
	TRY(json_get_mask(o, "value", &value));
	ev->sigev_value.sival_ptr = (void *)value;
	TRY(json_opt_i32(o, "thread", 1, INT32_MAX, 0, &thread));
	ev->_sigev_un._tid = thread;
	return NULL;
}

static struct err *make_timer(struct rollback *rb, const json_t *o, int id)
{
	struct sigevent ev = {0};
	taddr_t event, number;
	int clock;

	TRY(event_of(o, &ev, &clock));
	TRY(stage_put(rb, &ev, sizeof(ev), &event));
	TRY(stage_put(rb, &id, sizeof(id), &number));
	TRY(ADD(&rb->calls, "make a timer with its id again", SYS_prctl,
		UAPI_PR_TIMER_CREATE_RESTORE_IDS, 1));
	TRY(ADD(&rb->calls, "make a timer again", SYS_timer_create, (uint64_t)clock,
		event, number));
	return ADD(&rb->calls, NULL, SYS_prctl, UAPI_PR_TIMER_CREATE_RESTORE_IDS, 0);
}

static struct err *add_timer(struct rollback *rb, const json_t *o, const struct ids *now,
			     struct ids *kept)
{
	struct itimerspec spec;
	int64_t left, interval;
	taddr_t at;
	int id;

	TRY(json_get_i32(o, "id", 0, INT32_MAX, &id));
	TRY(json_get_int(o, "left", 0, INT64_MAX, &left));
	TRY(json_get_int(o, "interval", 0, INT64_MAX, &interval));
	TRY(vec_push(&kept->v, id));
	if (!has(now, id))
		TRY(make_timer(rb, o, id));
	spec = (struct itimerspec){.it_interval = from_ns(interval),
				   .it_value = from_ns(left)};
	TRY(stage_put(rb, &spec, sizeof(spec), &at));
	return ADD(&rb->calls, "arm a timer", SYS_timer_settime, (uint64_t)id, 0, at, 0);
}

static struct err *plan(struct rollback *rb, const json_t *list, struct ids *now,
			struct ids *kept)
{
	const json_t *o;

	TRY(present_timers(rb, now));
	for (size_t i = 0; i < json_array_size(list); i++) {
		TRY(json_at(json_item_object(list, i, &o), "posix", i));
		TRY(json_at(add_timer(rb, o, now, kept), "posix", i));
	}
	vec_for_each(id, &now->v)
		if (!has(kept, *id))
			TRY(ADD(&rb->calls, "delete a timer", SYS_timer_delete,
				(uint64_t)*id));
	return NULL;
}

struct err *timers_plan(struct rollback *rb)
{
	struct ids now = {0}, kept = {0};
	const json_t *timers, *list;

	TRY(json_get_object(rb->state, "timers", &timers));
	TRY(add_itimers(rb, timers));
	TRY(json_opt_array(timers, "posix", TIMERS_MAX, &list));
	struct err *e = plan(rb, list, &now, &kept);
	vec_free(&now.v);
	vec_free(&kept.v);
	return e;
}
