// SPDX-License-Identifier: LGPL-2.1-or-later
// Meeting a process between two pieces of its work; see rest.h.
#include "process/rest.h"

#include <sys/param.h>
#include <sys/syscall.h>
#include <time.h>

#include "os/kernel.h"
#include "util/cleanup.h"

static const uint64_t NAP_FIRST_NS = 40000, NAP_LONGEST_NS = 1500000;

enum { LOOKS = 10 };

// The call was interrupted while it waited.
static bool was_waiting(const struct user_regs_struct *r)
{
	switch ((long)r->rax) {
	case -UAPI_ERESTARTSYS:
	case -UAPI_ERESTARTNOINTR:
	case -UAPI_ERESTARTNOHAND:
	case -UAPI_ERESTART_RESTARTBLOCK:
		return true;
	default:
		return false;
	}
}

// The state behind a system call, before the first instruction of the program: an interrupt elsewhere leaves no number.
static bool thread_rests(const struct thread *t)
{
	switch ((long)t->regs.orig_rax) {
	// What these tell is only news: of work that is still where it was.
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
	case SYS_poll:
	case SYS_ppoll:
	case SYS_select:
	case SYS_pselect6:
		return true;
	// Sending to a slow reader is in the middle of an answer.
	case SYS_write:
	case SYS_writev:
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_sendmmsg:
	case SYS_sendfile:
	case -1:
		return false;
	default:
		return was_waiting(&t->regs);
	}
}

bool process_rests(const struct process *p)
{
	vec_for_each(t, &p->threads)
		if (t->state == THREAD_STOPPED && !thread_rests(t))
			return false;
	return true;
}

// Threads that were met outside of any system call every time so far: they compute, and will go on doing so.
struct busy {
	VEC(pid_t) v;
	size_t looks;
};

static void busy_deinit(struct busy *b)
{
	vec_free(&b->v);
}

static bool computes(struct process *p, pid_t tid)
{
	const struct thread *t = process_thread(p, tid);

	return t && t->state == THREAD_STOPPED && (long)t->regs.orig_rax == -1;
}

static struct err *look(struct busy *b, struct process *p)
{
	size_t n = 0;

	if (!b->looks++) {
		vec_for_each(t, &p->threads)
			if (computes(p, t->tid))
				TRY(vec_push(&b->v, t->tid));
		return NULL;
	}
	for (size_t i = 0; i < b->v.n; i++)
		if (computes(p, b->v.v[i]))
			b->v.v[n++] = b->v.v[i];
	b->v.n = n;
	return NULL;
}

static bool is_stopped_by_job_control(const struct process *p)
{
	vec_for_each(t, &p->threads)
		if (t->group_stop)
			return true;
	return false;
}

struct err *process_freeze_at_rest(struct process *p, uint64_t deadline,
				   uint64_t patience, uint64_t *first_stop, bool *rests)
{
	uint64_t end = MIN(monotonic_ns() + patience, deadline), nap = NAP_FIRST_NS;
	_cleanup_(busy_deinit) struct busy busy = {0};

	for (;;) {
		TRY(process_freeze(p, deadline, first_stop));
		*rests = process_rests(p);
		if (*rests || monotonic_ns() + nap >= end || is_stopped_by_job_control(p))
			return NULL;
		TRY(look(&busy, p));
		if (busy.looks >= LOOKS && busy.v.n)
			return NULL;
		TRY(process_thaw(p, NULL));
		// Never in step with what the process does regularly.
		uint64_t odd = monotonic_ns() % (nap / 2 + 1);
		nanosleep(&(struct timespec){0, (long)(nap + odd)}, NULL);
		nap = MIN(nap * 5 / 4, NAP_LONGEST_NS);
	}
}
