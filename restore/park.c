// SPDX-License-Identifier: LGPL-2.1-or-later
// A rebuilt process in a job-control stop, so that another part of molt can trace it meanwhile, and back.
#include <errno.h>
#include <linux/ptrace.h>
#include <signal.h>
#include <time.h>

#include "os/proc.h"
#include "os/ptrace.h"
#include "process/process.h"
#include "process/wait.h"
#include "restore/rebuilt.h"

static const uint64_t PARK_NS = 5000000000;
static const uint64_t CONT_BIT = 1ULL << (SIGCONT - 1);

static bool stands(const struct build *b)
{
	struct os_status s;

	vec_for_each(t, &b->threads)
		if (os_proc_status(b->remote.pid, t->tid, &s) < 0 || s.state != 'T')
			return false;
	return true;
}

static struct err *park(struct build *b)
{
	const struct timespec nap = {0, 200000};
	uint64_t deadline = monotonic_ns() + PARK_NS;

	// Pending before the first is let go: none of them gets as far as its program.
	if (kill(b->remote.pid, SIGSTOP) < 0)
		return err_sys(errno, "cannot stop process %d", b->remote.pid);
	TRY(threads_release(b));
	while (!stands(b)) {
		if (monotonic_ns() >= deadline)
			return err_new(ERR_INTERNAL, "process %d does not stop",
				       b->remote.pid);
		nanosleep(&nap, NULL);
	}
	return NULL;
}

struct err *rebuilt_park(struct rebuilt *r)
{
	vec_for_each(p, &r->builds)
		TRY(park(*p));
	return NULL;
}

// Takes the one SIGCONT that ends the stop away before the program can see it: only this thread does not block it.
static struct err *swallow(const struct build *b)
{
	const struct build_thread *t = &b->threads.v[0];
	uint64_t deadline = monotonic_ns() + PARK_NS;
	bool swallowed = false;

	if (kill(b->remote.pid, SIGCONT) < 0)
		return err_sys(errno, "cannot continue process %d", b->remote.pid);
	for (;;) {
		// A pending interrupt would come before the signal each time.
		if (swallowed)
			os_ptrace_interrupt(t->tid);
		os_ptrace_cont(t->tid, 0);
		struct stop s = wait_stop(t->tid, deadline);

		if (s.kind == STOP_SIGNAL && s.sig == SIGCONT)
			swallowed = true;
		else if (s.kind == STOP_EVENT && swallowed)
			return NULL;
		else if (s.kind == STOP_NONE || s.kind == STOP_EXITED ||
			 s.kind == STOP_LOST)
			return err_new(ERR_LOST, "process %d did not come back",
				       b->remote.pid);
	}
}

static struct err *regain(struct build *b)
{
	_cleanup_free_ uint64_t *masks = calloc(b->threads.n, sizeof(*masks));
	struct err *e = NULL;

	if (!masks)
		return err_nomem();
	vec_for_each(t, &b->threads) {
		TRY(thread_adopt(b, t));
		TRY(thread_halt(b, t));
	}
	for (size_t i = 0; i < b->threads.n && !e; i++) {
		pid_t tid = b->threads.v[i].tid;
		int r = os_ptrace_getsigmask(tid, &masks[i]);

		if (!r)
			r = os_ptrace_setsigmask(tid, i ? ~0ULL : ~CONT_BIT);
		if (r < 0)
			e = err_sys(r, "cannot block the signals of thread %d", tid);
	}
	if (!e)
		e = swallow(b);
	for (size_t i = 0; i < b->threads.n && !e; i++) {
		int r = os_ptrace_setsigmask(b->threads.v[i].tid, masks[i]);

		if (r < 0)
			e = err_sys(r, "cannot set a signal mask");
	}
	return e ? e : threads_leave_tool(b);
}

struct err *rebuilt_regain(struct rebuilt *r)
{
	vec_for_each(p, &r->builds)
		TRY(regain(*p));
	return NULL;
}
