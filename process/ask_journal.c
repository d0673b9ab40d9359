// SPDX-License-Identifier: LGPL-2.1-or-later
// A change of the whole process that is made as a whole or not at all; see ask.h.
#include <linux/ptrace.h>
#include <sys/syscall.h>

#include "os/ptrace.h"
#include "process/ask_impl.h"
#include "process/fault.h"
#include "process/thread.h"
#include "util/cleanup.h"

static const uint64_t CATCH_NS = 1000000000;

static struct err *announce(struct remote *r, taddr_t at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		TRY(ask_undo(r, &(struct syscall_req){.nr = SYS_close | ASK_INDIRECT,
						      .args = {at + i * sizeof(int)}}));
	return NULL;
}

struct err *ask_create_journal(struct process *p, struct helper *h, size_t size,
			       size_t max_threads, struct remote **ret)
{
	struct ask *a;

	if (max_threads > ASK_STAYING_MAX)
		return err_with(
			err_new(ERR_UNSUPPORTED, "%zu threads are too many", max_threads),
			"too-many-threads", p->comm);
	TRY(ask_create_with(p, h, size, max_threads, ASK_UNDO, &a));
	a->remote.announce = announce;
	*ret = &a->remote;
	return NULL;
}

static struct err *gather_one(struct ask *a, struct thread *t)
{
	TRY(ask_check_place(a, t));
	struct ask_record *rec = ask_stay(a, t->tid);
	if (!rec)
		return err_nomem();
	area_state_from(&rec->old_state, &t->regs, t->sigmask);
	rec->role = a->staying.n == 1 ? ASK_FIRST : 0;
	struct err *e = ask_enter(a, t, rec);
	t->regs_dirty = t->mask_dirty = true;
	return e;
}

struct err *ask_gather(struct remote *r, pid_t first)
{
	struct ask *a = ask_of(r);
	struct thread *t = process_thread(a->p, first);

	if (!t || a->staying.n)
		return err_new(ERR_INTERNAL, "thread %d cannot be the first", first);
	r->tid = first;
	a->gathered = true;
	TRY(gather_one(a, t));
	TRY(fault_point("rollback-first"));
	// Whoever goes back by itself waits for the first one now, which is there to wake it.
	__atomic_store_n(&a->head->hold, 1, __ATOMIC_RELEASE);
	vec_for_each(it, &a->p->threads)
		if (it->state == THREAD_STOPPED && it->tid != first)
			TRY(gather_one(a, it));
	return fault_point("rollback-gathered");
}

struct err *ask_finish(struct remote *r, pid_t tid, const struct ask_finish *f)
{
	struct ask *a = ask_of(r);
	struct ask_record *rec = ask_staying(a, tid);

	if (!rec)
		return err_new(ERR_INTERNAL, "thread %d is not in the area", tid);
	rec->finish = (struct ask_list){.addr = f->list, .n = (uint32_t)f->n, .all = 1};
	if (f->ends) {
		rec->role |= ASK_ENDS;
		return NULL;
	}
	area_state_from(&rec->new_state, f->regs, f->sigmask);
	a->outcomes.v[rec - &a->records[ASK_STAYING]] =
		(struct ask_outcome){*f->regs, f->sigmask};
	rec->xstate = f->xstate;
	struct thread *t = process_thread(a->p, tid);
	return t ? NULL : thread_gone(a->p, tid);
}

// Attached and brought to a stop as the others are.
static struct err *adopt(struct ask *a, pid_t tid)
{
	struct process *p = a->p;

	TRY(threads_add(p, tid, false));
	struct thread *t = &p->threads.v[p->threads.n - 1];
	TRY(thread_seize(
		p, t, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC));
	TRY(thread_interrupt(p, t));
	struct user_regs_struct now;
	TRY(thread_catch(p, t, monotonic_ns() + CATCH_NS, &now));
	t = process_thread(p, tid);
	if (!t)
		return thread_gone(p, tid);
	t->regs = now; // of no meaning; ask_finish says what it gets
	t->sigmask = ~0ull;
	return NULL;
}

struct err *ask_spawn(struct remote *r, taddr_t args, size_t size, pid_t *tid)
{
	struct ask *a = ask_of(r);
	struct ask_record *rec = ask_stay(a, 0);
	int64_t ret;

	if (!rec)
		return err_nomem();
	rec->role = ASK_MADE;
	// The new thread is not to stop in the middle of the first one's list.
	int failed = os_ptrace_setoptions(r->tid, PTRACE_O_TRACESYSGOOD);
	if (failed < 0)
		return err_sys(failed, "cannot set the options of thread %d", r->tid);
	struct err *e = remote_call(r, ASK_SPAWN,
				    (uint64_t[6]){args, size, ask_at(a, rec)}, &ret);
	a->stuck |=
		e !=
		NULL; // there may be a thread that nobody knows; it ends when the helper does
	TRY(e);
	*tid = (pid_t)ret;
	if (ret < 0) {
		a->staying.n--;
		return NULL;
	}
	rec->tid = *tid;
	a->staying.v[a->staying.n - 1] = *tid;
	return adopt(a, *tid);
}

static struct err *enter_all(struct ask *a, uint32_t *leaving)
{
	*leaving = 0;
	vec_for_each(tid, &a->staying) {
		struct thread *t = process_thread(a->p, *tid);
		struct ask_record *rec = ask_staying(a, *tid);

		if (!t)
			return thread_gone(a->p, *tid);
		rec->told = 0;
		TRY(ask_enter(a, t, rec));
		*leaving += (rec->role & ASK_ENDS) != 0;
	}
	return NULL;
}

static struct err *jobs_for(struct ask *a, struct ask_job **ret)
{
	struct ask_job *jobs = calloc(a->staying.n + 1, sizeof(*jobs));

	if (!jobs)
		return err_nomem();
	for (size_t i = 0; i < a->staying.n; i++)
		jobs[i].tid = a->staying.v[i];
	*ret = jobs;
	return NULL;
}

// A thread that goes on to its end; whatever it stops for on the way.
static struct err *see_end(struct ask *a, pid_t tid)
{
	uint64_t deadline = monotonic_ns() + CATCH_NS;

	for (;;) {
		struct thread *t = process_thread(a->p, tid);

		if (!t)
			return NULL;
		if (t->state == THREAD_STOPPED)
			TRY(thread_continue(a->p, t));
		struct err *e = thread_catch(a->p, t, deadline, NULL);
		if (!process_thread(a->p, tid)) {
			err_free(e);
			return NULL;
		}
		TRY(e);
	}
}

// Takes a thread that has run its list back.
static struct err *settle(struct ask *a, pid_t tid, const struct ask_outcome *o)
{
	struct thread *t = process_thread(a->p, tid);

	if (!t)
		return NULL;
	struct err *e = thread_catch(a->p, t, monotonic_ns() + CATCH_NS, NULL);
	t = process_thread(a->p, tid);
	if (!t) {
		err_free(e);
		return NULL;
	}
	if (e)
		a->stuck = true; // it goes on by itself when the helper is gone
	t->regs_dirty = t->mask_dirty = !e;
	t->regs = o->regs;
	t->sigmask = o->sigmask;
	return e;
}

static bool ends(struct ask *a, pid_t tid)
{
	return ask_staying(a, tid)->role & ASK_ENDS;
}

struct err *ask_decide(struct remote *r, bool *decided)
{
	struct ask *a = ask_of(r);
	_cleanup_free_ struct ask_job *jobs = NULL;
	size_t n = a->staying.n;
	uint32_t leaving;

	*decided = false;
	TRY(jobs_for(a, &jobs));
	TRY(enter_all(a, &leaving));
	a->head->leaving = leaving;
	a->head->finished = 0;
	__atomic_store_n(&a->head->pending, (uint32_t)n, __ATOMIC_RELEASE);
	TRY(fault_point("rollback-prepared"));
	// From here on it is made, by the threads themselves.
	__atomic_store_n(&a->head->decision, ASK_DECIDED, __ATOMIC_SEQ_CST);
	*decided = true;
	struct err *e = fault_point("rollback-decided");
	err_free(e); // it goes on all the same
	e = NULL;
	for (size_t i = 0; i < n; i++) {
		struct thread *t = process_thread(a->p, jobs[i].tid);

		if (t)
			e = err_first(e, thread_continue(a->p, t));
	}
	ask_wait(a, jobs, n);
	for (size_t i = 0; i < n; i++) {
		struct thread *t = process_thread(a->p, jobs[i].tid);

		if (t && !ends(a, jobs[i].tid))
			err_free(thread_interrupt(a->p, t));
	}
	for (size_t i = 0; i < n; i++)
		e = err_first(e, ends(a, jobs[i].tid)
					 ? see_end(a, jobs[i].tid)
					 : settle(a, jobs[i].tid, &a->outcomes.v[i]));
	a->staying.n = 0;
	a->gathered = false;
	return err_first(e, fault_point("rollback-done"));
}

// Made by the tool: it ends now.
static struct err *end_made(struct ask *a)
{
	struct err *e = NULL;

	vec_for_each(tid, &a->staying) {
		struct thread *t = process_thread(a->p, *tid);
		const struct ask_record *rec = ask_staying(a, *tid);

		if (!t || !(rec->role & ASK_MADE))
			continue;
		struct user_regs_struct regs = t->regs;
		regs.rip = a->area.addr + payload_ask_end_thread;
		regs.r15 = ask_at(a, rec);
		regs.orig_rax = ~0ull;
		e = err_first(e, thread_set(a->p, t, &regs, ~0ull));
		e = err_first(e, see_end(a, *tid));
	}
	return e;
}

struct err *ask_scatter(struct remote *r)
{
	struct ask *a = ask_of(r);
	struct ask_list *undo = &a->records[ASK_STAYING].undo;
	struct err *e = NULL;
	size_t done = 0;

	if (!a->gathered)
		return NULL;
	a->pair = NULL; // its ends are on the list
	if (undo->n) {
		struct syscall_req *reqs = a->undo + (a->max_undo - undo->n);

		e = ask_calls(r, r->tid, reqs, undo->n, true, &done);
		if (!e)
			undo->n = 0;
	}
	e = err_first(e, end_made(a));
	e = err_first(e, fault_point("rollback-undone"));
	for (size_t i = a->staying.n;
	     i-- > 0;) // the first one last: the others wait for it
		e = err_first(e, ask_put_back(a, a->staying.v[i]));
	if (r->channel >= 0)
		close(r->channel);
	r->channel = r->remote_channel = -1;
	a->staying.n = 0;
	a->gathered = false;
	return e;
}
