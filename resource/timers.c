// SPDX-License-Identifier: LGPL-2.1-or-later
// Saving interval timers and POSIX timers, with the time left of each.
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "os/proc.h"
#include "resource/calls.h"
#include "resource/json.h"
#include "resource/signals.h"
#include "resource/timers.h"
#include "util/cleanup.h"

static const int64_t NS = 1000000000, NS_PER_US = 1000;
const char *const itimer_names[ITIMERS] = {"real", "virtual", "profile"};

void timer_list_deinit(struct timer_list *l)
{
	vec_free(&l->v);
}

static int64_t us_of(struct timeval t)
{
	return t.tv_sec * NS + t.tv_usec * NS_PER_US;
}

static int64_t ns_of(struct timespec t)
{
	return t.tv_sec * NS + t.tv_nsec;
}

static struct err *save_itimers(struct saver *s, json_t *timers)
{
	const size_t mark = s->ask->used;
	_cleanup_(call_list_deinit) struct call_list l = {0};
	struct itimerval now[ITIMERS];
	void *room;
	json_t *o;

	TRY(remote_room(s->ask, sizeof(now), &room));
	for (uint64_t i = 0; i < ITIMERS; i++)
		TRY(CALL(&l, "read the interval timers", SYS_getitimer, i,
			 remote_at(s->ask, room) + i * sizeof(*now)));
	struct err *e = call_list_ask(&l, s->ask, s->process->pid);
	memcpy(now, room, sizeof(now));
	remote_release(s->ask, mark);
	TRY(e);
	for (size_t i = 0; i < ITIMERS; i++) {
		if (!us_of(now[i].it_value) && !us_of(now[i].it_interval))
			continue;
		TRY(json_put_object(timers, itimer_names[i], &o));
		TRY(json_put_int(o, "left", us_of(now[i].it_value)));
		TRY(json_put_int(o, "interval", us_of(now[i].it_interval)));
	}
	return NULL;
}

// One line of the file: "ID: 0", "signal: 14/00000000", "notify: signal/tid.17", "ClockID: 1".
static struct err *parse_line(const char *line, pid_t pid, struct timer_list *l)
{
	static const struct {
		const char *word;
		int notify;
	} kinds[] = {{"signal/", SIGEV_SIGNAL},
		     {"none/", SIGEV_NONE},
		     {"thread/", SIGEV_THREAD}};
	struct posix_timer *t, fresh = {0};
	char kind[16], whose[8];
	int number;

	if (sscanf(line, "ID: %d", &number) == 1) {
		fresh.id = number;
		return vec_push(&l->v, fresh);
	}
	if (!l->v.n)
		return err_new(ERR_SYSTEM, "/proc/%d/timers: '%s'", pid, line);
	t = &l->v.v[l->v.n - 1];
	if (sscanf(line, "signal: %d/%" SCNx64, &t->signal, &t->value) == 2 ||
	    sscanf(line, "ClockID: %d", &t->clock) == 1)
		return NULL;
	if (sscanf(line, "notify: %15[a-z/]%7[a-z].%d", kind, whose, &number) != 3 &&
	    sscanf(line, "notify: %15[a-z]/%7[a-z].%d", kind, whose, &number) != 3)
		return err_new(ERR_SYSTEM, "/proc/%d/timers: '%s'", pid, line);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strncmp(kind, kinds[i].word, strlen(kind)))
			t->notify = kinds[i].notify;
	if (strstr(line, "/tid.")) {
		t->notify |= SIGEV_THREAD_ID;
		t->target = number;
	}
	return NULL;
}

struct err *timers_list(pid_t pid, struct timer_list *l)
{
	_cleanup_free_ char *text = NULL;
	char *rest = NULL;
	size_t len;
	int r = os_proc_read(pid, 0, "timers", &text, &len);

	if (r == -ENOENT)
		return NULL; // a kernel without CONFIG_CHECKPOINT_RESTORE, or without timers
	if (r < 0)
		return err_sys(r, "cannot read /proc/%d/timers", pid);
	for (char *line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest))
		TRY(parse_line(line, pid, l));
	return NULL;
}

static struct err *ask_times(struct saver *s, struct timer_list *l)
{
	const size_t mark = s->ask->used;
	_cleanup_(call_list_deinit) struct call_list calls = {0};
	struct itimerspec *left;
	void *room;

	if (!l->v.n)
		return NULL;
	TRY(remote_room(s->ask, l->v.n * sizeof(*left), &room));
	left = room;
	for (size_t i = 0; i < l->v.n; i++)
		TRY(CALL(&calls, "read the timers", SYS_timer_gettime,
			 (uint64_t)l->v.v[i].id, remote_at(s->ask, &left[i])));
	struct err *e = call_list_ask(&calls, s->ask, s->process->pid);
	for (size_t i = 0; i < l->v.n; i++)
		l->v.v[i].left = left[i];
	remote_release(s->ask, mark);
	return e;
}

// CPU clocks name a process or thread by its complement, 0 being the one that asks (kernel, posix-timers_types.h).
enum { CPU_THREAD = 4, CPU_BITS = 3, CPU_KIND = 7 };

pid_t clock_owner(int clock)
{
	return clock < 0 ? ~(clock >> CPU_BITS) : 0;
}

int clock_of(int clock, pid_t owner)
{
	return (int)((unsigned)~owner << CPU_BITS | ((unsigned)clock & CPU_KIND));
}

static struct err *check_clock(struct saver *s, const struct posix_timer *t)
{
	const int own_thread = clock_of(CPU_THREAD | 2, 0);
	pid_t whose = clock_owner(t->clock);

	if (t->clock == own_thread && s->process->threads.n > 1 &&
	    !(t->notify & SIGEV_THREAD_ID))
		TRY(saving_note(s->all,
				"timer %d measures the processor time of the thread that "
				"made it, which cannot be told; restored, it is that of "
				"the first",
				t->id));
	if (!whose || whose == s->process->pid)
		return NULL;
	if (t->clock & CPU_THREAD && process_thread(s->process, whose))
		return NULL;
	return err_refuse("timer-clock", s->process->comm,
			  "timer %d of process %d (%s) measures the processor time of "
			  "process %d",
			  t->id, s->process->pid, s->process->comm, whose);
}

static struct err *put_timer(const struct posix_timer *t, json_t *o)
{
	TRY(json_put_int(o, "id", t->id));
	TRY(json_put_int(o, "clock", t->clock));
	TRY(json_put_int(o, "notify", t->notify));
	TRY(json_put_int(o, "signal", t->signal));
	TRY(json_put_mask(o, "value", t->value));
	if (t->notify & SIGEV_THREAD_ID)
		TRY(json_put_int(o, "thread", t->target));
	TRY(json_put_int(o, "left", ns_of(t->left.it_value)));
	return json_put_int(o, "interval", ns_of(t->left.it_interval));
}

static struct err *save_posix(struct saver *s, json_t *timers)
{
	_cleanup_(timer_list_deinit) struct timer_list l = {0};
	json_t *list, *o;

	TRY(timers_list(s->process->pid, &l));
	TRY(ask_times(s, &l));
	TRY(json_put_array(timers, "posix", &list));
	vec_for_each(t, &l.v) {
		TRY(check_clock(s, t));
		TRY(json_add_object(list, &o));
		TRY(put_timer(t, o));
	}
	return NULL;
}

struct err *save_timers(struct saver *s)
{
	json_t *timers;

	TRY(json_put_object(s->state, "timers", &timers));
	TRY(save_itimers(s, timers));
	return save_posix(s, timers);
}
