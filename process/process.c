// SPDX-License-Identifier: LGPL-2.1-or-later
// Freezing and thawing a whole process; see process.h.
#include "process/process.h"

#include <errno.h>
#include <linux/ptrace.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/syscall.h>
#include <time.h>

#include "os/proc.h"
#include "os/ptrace.h"
#include "process/thread.h"
#include "process/wait.h"
#include "util/cleanup.h"

static const unsigned long OPTIONS =
	PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
static const uint64_t STRAY_NS = 50000000; // for a task that attached by itself to stop
static const uint64_t LEFT_OVER_NS =
	20000000; // for a thread that did not stop in a failed freeze
static const uint64_t VFORK_NAP_NS = 500000;
// How long the others may stand for one that does not stop, at the first attempt; the next ones have twice as
// long. In between they run RUN_SHARE times as long.
static const uint64_t FIRST_LIMIT_NS = 50000000;
static const uint64_t RUN_SHARE = 4;

// Both lists are in the order of creation, nearly: the search goes on where the last one ended.
static bool listed(const pid_t *tids, size_t n, pid_t tid, size_t *cursor)
{
	for (size_t i = 0; i < n; i++) {
		size_t at = (*cursor + i) % n;

		if (tids[at] == tid) {
			*cursor = at + 1;
			return true;
		}
	}
	return false;
}

static bool known(const struct process *p, pid_t tid, size_t *cursor)
{
	size_t n = p->threads.n;

	for (size_t i = 0; i < n; i++) {
		size_t at = (*cursor + i) % n;

		if (p->threads.v[at].tid == tid) {
			*cursor = at + 1;
			return true;
		}
	}
	return false;
}

static struct err *tasks_failed(const struct process *p, int r)
{
	if (os_proc_is_gone(r))
		return err_new(ERR_LOST, "process %d (%s) is gone", p->pid, p->comm);
	return err_sys(r, "cannot list the threads of process %d (%s)", p->pid, p->comm);
}

// Adds the threads that are new; those from index `first` on are untraced as yet.
static struct err *add_new_threads(struct process *p, size_t *first)
{
	_cleanup_free_ pid_t *tids = NULL;
	size_t n, cursor = 0;
	int r = os_proc_tasks(p->pid, &tids, &n);

	*first = p->threads.n;
	if (r < 0)
		return tasks_failed(p, r);
	for (size_t i = 0; i < n; i++) {
		if (tids[i] != p->impl->helper && !known(p, tids[i], &cursor))
			TRY(threads_add(p, tids[i], false));
	}
	return NULL;
}

static struct err *drop_old_threads(struct process *p)
{
	_cleanup_free_ pid_t *tids = NULL;
	size_t n, kept = 0, cursor = 0;
	int r = os_proc_tasks(p->pid, &tids, &n);

	if (r < 0)
		return tasks_failed(p, r);
	for (size_t i = 0; i < p->threads.n; i++) {
		struct thread *t = &p->threads.v[i];

		if (t->traced ||
		    (t->state != THREAD_GONE && listed(tids, n, t->tid, &cursor)))
			p->threads.v[kept++] = *t;
	}
	p->threads.n = kept;
	return NULL;
}

struct err *threads_refresh(struct process *p)
{
	TRY(drop_old_threads(p));
	return add_new_threads(p, &(size_t){0});
}

static struct err *seize_all(struct process *p)
{
	size_t first = 0;

	do {
		for (size_t i = first; i < p->threads.n; i++)
			TRY(thread_seize(p, &p->threads.v[i], OPTIONS));
		TRY(add_new_threads(p, &first));
	} while (first < p->threads.n);
	return NULL;
}

static struct err *release_all(struct process *p)
{
	struct err *first = NULL;

	vec_for_each(t, &p->threads) {
		struct err *e = t->state == THREAD_STOPPED ? thread_write_back(t) : NULL;

		if (first)
			err_free(e);
		else
			first = e;
	}
	vec_for_each(t, &p->threads) {
		if (t->state == THREAD_STOPPED)
			thread_detach(p, t);
	}
	return first;
}

// Threads that were seized and have not stopped (state D) cannot be let go before they
// do.
void threads_release_left_over(struct process *p)
{
	uint64_t deadline = monotonic_ns() + LEFT_OVER_NS;

	for (size_t i = 0; i < p->threads.n; i++) {
		struct thread *t = &p->threads.v[i];

		if (!t->traced || t->state != THREAD_RUNNING)
			continue;
		os_ptrace_interrupt(t->tid);
		err_free(thread_collect(p, i, deadline));
		err_free(thread_release(p, &p->threads.v[i]));
	}
}

static void release_strays(struct process *p)
{
	vec_for_each(tid, &p->impl->strays) {
		wait_stop(*tid, monotonic_ns() + STRAY_NS);
		os_ptrace_detach(*tid);
	}
	p->impl->strays.n = 0;
}

struct err *process_seize(struct process *p)
{
	struct err *e = threads_refresh(p);

	if (!e)
		e = seize_all(p);
	if (e)
		threads_release_left_over(p);
	return e;
}

static void interrupt_from(struct process *p, size_t first)
{
	for (size_t i = first; i < p->threads.n; i++) {
		struct thread *t = &p->threads.v[i];

		if (t->traced && t->state == THREAD_RUNNING)
			os_ptrace_interrupt(t->tid);
	}
}

// One thread that is left may still make others: the list is stable when all stand and
// none is new.
static struct err *collect_all(struct process *p, uint64_t deadline)
{
	size_t first;

	do {
		for (size_t i = 0; i < p->threads.n; i++) {
			struct thread *t = &p->threads.v[i];

			if (t->traced && t->state == THREAD_RUNNING)
				TRY(thread_collect(p, i, deadline));
		}
		TRY(add_new_threads(p, &first));
		for (size_t i = first; i < p->threads.n; i++)
			TRY(thread_seize(p, &p->threads.v[i], OPTIONS));
		interrupt_from(p, first);
	} while (first < p->threads.n);
	return NULL;
}

static bool waits_for_vfork(struct process *p, const struct thread *t)
{
	struct os_status s;

	if (os_proc_status(p->pid, t->tid, &s) < 0 || s.state != 'D')
		return false;
	long nr = os_proc_syscall(p->pid, t->tid);
	return nr == SYS_vfork || nr == SYS_clone || nr == SYS_clone3;
}

// The parent of a vfork stops only when the child has called exec or exit: better waited
// for with everything running.
static struct err *let_vfork_end(struct process *p, uint64_t deadline)
{
	vec_for_each(t, &p->threads) {
		while (waits_for_vfork(p, t)) {
			if (monotonic_ns() >= deadline)
				return err_with(err_new(ERR_BUSY,
							"thread %d (%s) of %d waits for "
							"its vfork "
							"child and cannot be stopped",
							t->tid, t->comm, p->pid),
						"thread-does-not-stop", t->comm);
			nanosleep(&(struct timespec){0, (long)VFORK_NAP_NS}, NULL);
		}
	}
	return NULL;
}

static struct err *check_frozen(struct process *p)
{
	if (p->impl->replaced)
		return err_refuse(
			"program-replaced", p->comm,
			"process %d (%s) started another program (exec) meanwhile",
			p->pid, p->comm);
	vec_for_each(t, &p->threads) {
		if (t->state == THREAD_STOPPED)
			return NULL;
	}
	return err_new(ERR_LOST, "process %d (%s) has ended", p->pid, p->comm);
}

static struct err *freeze(struct process *p, uint64_t deadline, uint64_t limit,
			  uint64_t *first_stop)
{
	TRY(threads_refresh(p));
	TRY(let_vfork_end(p, deadline));
	TRY(seize_all(p));
	boost_threads(p);
	*first_stop = monotonic_ns();
	interrupt_from(p, 0);
	struct err *e = collect_all(p, MIN(deadline, *first_stop + limit));
	unboost_threads(p);
	return e ? e : check_frozen(p);
}

static struct err *try_freeze(struct process *p, uint64_t deadline, uint64_t limit,
			      uint64_t *first_stop)
{
	struct err *e = freeze(p, deadline, limit, first_stop);

	release_strays(p);
	if (e) {
		err_free(release_all(p));
		threads_release_left_over(p);
	}
	return e;
}

// Runs on. A thread that was interrupted and could not stop then must not stand when it can.
static void let_run(struct process *p, uint64_t ns)
{
	const struct timespec nap = {0, (long)VFORK_NAP_NS};
	uint64_t end = monotonic_ns() + ns;

	do {
		threads_release_left_over(p);
		nanosleep(&nap, NULL);
	} while (monotonic_ns() < end);
}

struct err *process_freeze(struct process *p, uint64_t deadline, uint64_t *first_stop)
{
	uint64_t start = 0, limit = FIRST_LIMIT_NS;
	struct err *e;

	for (;;) {
		e = try_freeze(p, deadline, limit, &start);
		if (!e || e->kind != ERR_BUSY ||
		    monotonic_ns() + RUN_SHARE * limit >= deadline)
			break;
		err_free(e);
		let_run(p, RUN_SHARE * limit);
		limit *= 2;
	}
	if (first_stop)
		*first_stop = start;
	return e;
}

struct err *process_thaw(struct process *p, uint64_t *last_release)
{
	struct err *e = release_all(p);

	if (last_release)
		*last_release = monotonic_ns();
	threads_release_left_over(p);
	return e;
}

bool process_alive(const struct process *p)
{
	_cleanup_free_ pid_t *tids = NULL;
	size_t n;

	// The first thread may have ended before the others; the helper does not count.
	int r = os_proc_tasks(p->pid, &tids, &n);
	if (r < 0)
		return !os_proc_is_gone(r);
	for (size_t i = 0; i < n; i++) {
		struct os_status s;

		if (tids[i] == p->impl->helper)
			continue;
		r = os_proc_status(p->pid, tids[i], &s);
		if (r < 0 ? !os_proc_is_gone(r) : s.state != 'X' && s.state != 'Z')
			return true;
	}
	return false;
}

void process_close(struct process *p)
{
	if (!p)
		return;
	if (p->impl) {
		process_unboost(p);
		err_free(release_all(p));
		threads_release_left_over(p);
		release_strays(p);
		vec_free(&p->impl->strays);
	}
	vec_free(&p->threads);
	free(p->impl);
	free(p->exe);
	free(p);
}

void process_closep(struct process **p)
{
	process_close(*p);
}
