// SPDX-License-Identifier: LGPL-2.1-or-later
// Real-time priority for the critical stop: without it, threads that compute need up to a time slice each before
// they stop, and the tool before it sees that.
//
// A thread must not stay raised when the tool dies. The helper has a table of the threads' own policies and puts
// them back at its end, which comes when its tracer is gone. New threads of a raised one start unraised.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86_64/bootstrap.h"
#include "os/proc.h"
#include "os/sched.h"
#include "process/memory.h"
#include "process/process_impl.h"
#include "util/cleanup.h"

enum {
	TOOL_PRIORITY =
		20, // above the threads, so that none of them keeps the tool waiting
	THREAD_PRIORITY = 10,
	TABLE_MAX = (HELPER_TABLE_SIZE - 8) / HELPER_TABLE_ENTRY,
};

struct boost_entry { // in the target; bootstrap.S reads it
	uint64_t tid;
	struct uapi_sched_attr own;
};

_Static_assert(sizeof(struct boost_entry) == HELPER_TABLE_ENTRY,
	       "layout shared with bootstrap.S");

struct boost {
	struct uapi_sched_attr tool; // the tool's own policy
	uint64_t n;		     // raised threads
	struct boost_entry v[TABLE_MAX];
	bool resets_on_fork[TABLE_MAX]; // of v[i], before
	uint64_t slack[TABLE_MAX];	// timer slack of v[i], ns; 0: not known
};

// What a thread has that never chose (init's, and what all inherit).
static const uint64_t USUAL_SLACK = 50000;

static const struct uapi_sched_attr tool_fifo = {
	.size = sizeof(struct uapi_sched_attr),
	.policy = SCHED_FIFO,
	.priority = TOOL_PRIORITY,
};

static const struct uapi_sched_attr thread_fifo = {
	.size = sizeof(struct uapi_sched_attr),
	.policy = SCHED_FIFO,
	.flags = UAPI_SCHED_FLAG_RESET_ON_FORK,
	.priority = THREAD_PRIORITY,
};

static bool is_ordinary(const struct uapi_sched_attr *a)
{
	return a->policy == SCHED_OTHER || a->policy == SCHED_BATCH ||
	       a->policy == SCHED_IDLE;
}

void process_boost(struct process *p)
{
	struct boost *b;

	if (p->impl->boost || !(b = calloc(1, sizeof(*b))))
		return;
	if (os_sched_get(0, &b->tool) < 0 || !is_ordinary(&b->tool) ||
	    os_sched_set(0, &tool_fifo) < 0) {
		free(b);
		return;
	}
	if (p->impl->helper)
		os_sched_set(p->impl->helper, &tool_fifo);
	p->impl->boost = b;
}

void process_unboost(struct process *p)
{
	struct boost *b = p->impl->boost;

	if (!b)
		return;
	unboost_threads(p);
	if (p->impl->helper)
		os_sched_set(p->impl->helper, &b->tool);
	os_sched_set(0, &b->tool);
	p->impl->boost = NULL;
	free(b);
}

// A real-time policy resets the timer slack, and what comes back with the old policy is only the default. When the tool dies
// it stays so: expiries may come a little sooner or later then.
static uint64_t read_slack(pid_t tid)
{
	char path[64];
	uint64_t slack;

	snprintf(path, sizeof(path), "/proc/%d/timerslack_ns", tid);
	return os_read_u64(path, &slack) < 0 ? 0 : slack;
}

static void write_slack(pid_t tid, uint64_t slack)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%" PRIu64, slack);
	_cleanup_close_ int fd = os_proc_open(tid, 0, "timerslack_ns", O_WRONLY);

	if (fd >= 0 && write(fd, text, (size_t)n) < 0)
		return; // nothing to be done about it
}

// Entries first: the count makes them valid.
static bool write_table(const struct process *p, const struct boost *b)
{
	taddr_t at = p->impl->helper_area + HELPER_TABLE;
	struct err *e = mem_write(p->pid, at + sizeof(b->n), b->v, b->n * sizeof(b->v[0]));

	if (!e)
		e = mem_write(p->pid, at, &b->n, sizeof(b->n));
	err_free(e);
	return !e;
}

void boost_threads(struct process *p)
{
	struct boost *b = p->impl->boost;

	if (!b || !p->impl->helper_area)
		return;
	b->n = 0;
	vec_for_each(t, &p->threads) {
		struct boost_entry *e = &b->v[b->n];

		if (b->n == TABLE_MAX)
			break;
		if (t->state != THREAD_RUNNING || os_sched_get(t->tid, &e->own) < 0 ||
		    !is_ordinary(&e->own))
			continue;
		e->tid = (uint64_t)t->tid;
		b->resets_on_fork[b->n] = e->own.flags & UAPI_SCHED_FLAG_RESET_ON_FORK;
		// Taking the flag away needs a capability that the target may not have.
		e->own.flags |= UAPI_SCHED_FLAG_RESET_ON_FORK;
		b->slack[b->n] = read_slack(t->tid);
		b->n++;
	}
	if (!write_table(p, b)) {
		b->n = 0;
		return;
	}
	for (size_t i = 0; i < b->n; i++)
		os_sched_set((pid_t)b->v[i].tid, &thread_fifo);
}

void unboost_threads(struct process *p)
{
	struct boost *b = p->impl->boost;

	if (!b || !b->n)
		return;
	for (size_t i = 0; i < b->n; i++) {
		struct uapi_sched_attr own = b->v[i].own;

		if (!b->resets_on_fork[i])
			own.flags &= ~(uint64_t)UAPI_SCHED_FLAG_RESET_ON_FORK;
		os_sched_set((pid_t)b->v[i].tid, &own);
		if (b->slack[i] && b->slack[i] != USUAL_SLACK)
			write_slack((pid_t)b->v[i].tid, b->slack[i]);
	}
	b->n = 0;
	write_table(p, b);
}
