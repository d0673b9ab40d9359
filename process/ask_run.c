// SPDX-License-Identifier: LGPL-2.1-or-later
// Sending stopped threads to their lists of system calls and taking them back; see ask.h.
#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/param.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/proc.h"
#include "process/ask_impl.h"
#include "process/fault.h"
#include "process/rseq.h"
#include "process/seccomp.h"
#include "process/thread.h"
#include "util/cleanup.h"

static const uint64_t ALL_SIGNALS = ~0ull;
static const unsigned USER_CS = 0x33; // 64-bit user code
static const uint64_t RUN_NS = 10000000000, CATCH_NS = 1000000000;
// When it is looked what the threads do that have not come back, doubling.
static const uint64_t FIRST_NAP_NS = 500000, LONGEST_NAP_NS = 50000000;

_Static_assert(sizeof(struct syscall_req) == AQ_SIZE, "layout");
_Static_assert(offsetof(struct syscall_req, args) == AQ_ARGS, "layout");
_Static_assert(offsetof(struct syscall_req, ret) == AQ_RET, "layout");

taddr_t ask_at(const struct ask *a, const void *place)
{
	return a->area.addr + (taddr_t)((const uint8_t *)place - a->area.map);
}

static struct err *forbidden(const struct ask *a, const struct thread *t, const char *what)
{
	return err_refuse("seccomp", what,
			  "thread %d (%s) of process %d runs under a seccomp filter that "
			  "does not allow %s, which molt has to do in it",
			  t->tid, t->comm, a->p->pid, what);
}

// Calls that a filter would answer with the end of the process are not made: they get EPERM. They become a call
// that the gates make anyway and that changes nothing.
static struct err *respect_filters(const struct ask *a, const struct thread *t,
				   struct ask_job *j, struct syscall_req *reqs)
{
	static const uint64_t none[6] = {0};
	_cleanup_(seccomp_deinit) struct seccomp s = {0};

	if (!seccomp_filtered(a->p, t))
		return NULL;
	TRY(seccomp_read(t, &s));
	if (seccomp_ask(&s, SYS_futex, none, 0) != SECCOMP_ALLOWS)
		return forbidden(a, t, "futex");
	if (seccomp_ask(&s, SYS_rt_sigprocmask, none, 0) != SECCOMP_ALLOWS)
		return forbidden(a, t, "rt_sigprocmask");
	for (size_t i = 0; i < j->n; i++)
		if (reqs[i].nr < ASK_COPY &&
		    seccomp_ask(&s, reqs[i].nr, reqs[i].args, SECCOMP_ALL_ARGS) ==
			    SECCOMP_KILLS)
			reqs[i] = (struct syscall_req){.nr = SYS_rt_sigprocmask,
						       .args = {~0ull, ~0ull, 0, 8}};
	return NULL;
}

// Moves a thread out of a restartable sequence and 32-bit code away from here.
struct err *ask_check_place(struct ask *a, struct thread *t)
{
	taddr_t abort_at;

	if (t->regs.cs != USER_CS)
		return err_with(err_new(ERR_BUSY, "thread %d (%s) of %d runs 32-bit code",
					t->tid, t->comm, a->p->pid),
				"no-safe-thread", t->comm);
	TRY(rseq_abort_address(a->p, t, &abort_at));
	if (abort_at) {
		t->regs.rip = abort_at;
		t->regs_dirty = true;
	}
	return NULL;
}

struct ask_record *ask_staying(struct ask *a, pid_t tid)
{
	for (size_t i = 0; i < a->staying.n; i++)
		if (a->staying.v[i] == tid)
			return &a->records[ASK_STAYING + i];
	return NULL;
}

static struct ask_record *record_of(struct ask *a, const struct thread *t, size_t i)
{
	struct ask_record *r = ask_staying(a, t->tid);

	return r ? r : &a->records[i];
}

struct err *ask_enter(struct ask *a, struct thread *t, const struct ask_record *rec)
{
	struct user_regs_struct r = t->regs;

	r.rip = a->area.addr + payload_ask_entry;
	r.r15 = ask_at(a, rec);
	r.orig_rax =
		~0ull; // no restart on the way there; the restart block stays as it is
	r.eflags = 0x202;
	return thread_set(a->p, t, &r, ALL_SIGNALS);
}

struct err *ask_put_back(struct ask *a, pid_t tid)
{
	struct thread *t = process_thread(a->p, tid);

	if (!t || t->state != THREAD_STOPPED)
		return NULL;
	t->regs_dirty = t->mask_dirty = true;
	return thread_write_back(t);
}

// Fills the record and sends the thread to it; it does not run yet.
static struct err *prepare(struct ask *a, struct ask_job *j, size_t i,
			   struct syscall_req *reqs)
{
	struct thread *t = process_thread(a->p, j->tid);

	j->done = 0;
	j->gone = !t;
	if (!t) {
		a->records[i].told = 0;
		return NULL;
	}
	if (t->state != THREAD_STOPPED)
		return err_new(ERR_INTERNAL, "thread %d is not stopped", j->tid);
	TRY(ask_check_place(a, t));
	struct ask_record *rec = ask_staying(a, t->tid);
	if (rec)
		rec->told = 0;
	if (!rec) {
		ask_reset_record(a, i, t->tid);
		rec = &a->records[i];
		area_state_from(&rec->old_state, &t->regs, t->sigmask);
	}
	memcpy(reqs, j->reqs, j->n * sizeof(*reqs));
	TRY(respect_filters(a, t, j, reqs));
	rec->run = (struct ask_list){
		.addr = ask_at(a, reqs), .n = (uint32_t)j->n, .all = j->all};
	struct err *e = ask_enter(a, t, rec);
	if (!e)
		return fault_point("ask-sent");
	j->gone = e->kind == ERR_LOST;
	if (j->gone) {
		err_free(e);
		return NULL;
	}
	return e;
}

static void start(struct ask *a, struct ask_job *j, size_t i)
{
	struct thread *t = process_thread(a->p, j->tid);

	if (j->gone || !t)
		return;
	__atomic_store_n(&record_of(a, t, i)->go, 1, __ATOMIC_RELEASE);
	struct err *e = thread_continue(a->p, t);
	j->gone = e;
	err_free(e);
}

// One that stopped for something else than us goes on: a stop signal, which no mask holds back, or an interrupt that
// came while it stood already.
static void look_after(struct ask *a, struct ask_job *j)
{
	struct thread *t = j->gone ? NULL : process_thread(a->p, j->tid);

	if (!t || t->state != THREAD_RUNNING)
		return;
	err_free(thread_catch(a->p, t, 0, NULL));
	t = process_thread(a->p, j->tid);
	if (t && t->state == THREAD_STOPPED)
		err_free(thread_continue(a->p, t));
	j->gone = !process_thread(a->p, j->tid);
}

static bool all_done(struct ask *a, const struct ask_job *jobs, size_t n)
{
	size_t lost = 0; // gone before they could tell

	for (size_t i = 0; i < n; i++) {
		const struct ask_record *rec = ask_staying(a, jobs[i].tid);

		if (!rec)
			rec = &a->records[i];
		lost += jobs[i].gone && !__atomic_load_n(&rec->told, __ATOMIC_ACQUIRE);
	}
	return __atomic_load_n(&a->head->pending, __ATOMIC_ACQUIRE) <= lost;
}

void ask_wait(struct ask *a, struct ask_job *jobs, size_t n)
{
	uint64_t deadline = monotonic_ns() + RUN_NS, nap = FIRST_NAP_NS;

	while (!all_done(a, jobs, n) && monotonic_ns() < deadline) {
		uint32_t seen = __atomic_load_n(&a->head->pending, __ATOMIC_ACQUIRE);
		const struct timespec slice = {.tv_nsec = (long)nap};

		if (!seen ||
		    !syscall(SYS_futex, &a->head->pending, FUTEX_WAIT, seen, &slice, NULL,
			     0) ||
		    errno != ETIMEDOUT)
			continue;
		nap = MIN(2 * nap, LONGEST_NAP_NS);
		for (size_t i = 0; i < n; i++)
			look_after(a, &jobs[i]);
	}
}

static struct err *too_long(const struct ask *a, const struct ask_job *j)
{
	return err_with(err_new(ERR_BUSY,
				"a call in thread %d of process %d (%s) takes too long",
				j->tid, a->p->pid, a->p->comm),
			"helper-timeout", a->p->comm);
}

// Stops one and, unless it is to stay in the area, gives it its registers.
static struct err *take_back(struct ask *a, struct ask_job *j, size_t i,
			     const struct syscall_req *reqs)
{
	struct thread *t = process_thread(a->p, j->tid);

	if (!t) {
		j->gone = true;
		return NULL;
	}
	const struct ask_record *rec = record_of(a, t, i);
	struct err *e = thread_catch(a->p, t, monotonic_ns() + CATCH_NS, NULL);
	t = process_thread(a->p, j->tid);
	if (!t) {
		err_free(e);
		j->gone = true;
		return NULL;
	}
	if (e) {
		a->stuck = true;
		t->regs_dirty = t->mask_dirty = true;
		return e;
	}
	j->done = MIN(rec->run.done, (uint32_t)j->n);
	for (size_t k = 0; k < j->done; k++)
		j->reqs[k].ret = reqs[k].nr == j->reqs[k].nr ? reqs[k].ret : -EPERM;
	bool whole = j->done == j->n || (j->done && !j->all && reqs[j->done - 1].ret < 0);
	if (!whole)
		e = too_long(a, j);
	if (ask_staying(a, j->tid)) {
		t->regs_dirty = t->mask_dirty = true;
		return e;
	}
	return err_first(e, ask_put_back(a, j->tid));
}

struct err *ask_round(struct ask *a, struct ask_job *jobs, size_t n)
{
	struct syscall_req *reqs = a->reqs;
	struct err *e = NULL;
	size_t sent;

	for (sent = 0; sent < n && !e; sent++) {
		e = prepare(a, &jobs[sent], sent, reqs);
		reqs += jobs[sent].n;
	}
	if (e) { // none has run anything
		for (size_t i = 0; i < sent; i++)
			if (!ask_staying(a, jobs[i].tid))
				e = err_first(e, ask_put_back(a, jobs[i].tid));
		return e;
	}
	__atomic_store_n(&a->head->pending, (uint32_t)n, __ATOMIC_RELEASE);
	for (size_t i = 0; i < n; i++)
		start(a, &jobs[i], i);
	err_free(fault_point("ask-running")); // what is begun goes on
	ask_wait(a, jobs, n);
	for (size_t i = 0; i < n; i++) {
		struct thread *t = process_thread(a->p, jobs[i].tid);

		if (t)
			err_free(thread_interrupt(a->p, t));
	}
	reqs = a->reqs;
	for (size_t i = 0; i < n; i++) {
		e = err_first(e, take_back(a, &jobs[i], i, reqs));
		reqs += jobs[i].n;
	}
	return e;
}

struct err *ask_many(struct remote *r, struct ask_job *jobs, size_t n)
{
	struct ask *a = ask_of(r);

	for (size_t i = 0; i < n;) {
		size_t k = 0, total = 0;

		while (i + k < n && k < ASK_THREADS && total + jobs[i + k].n <= ASK_REQS)
			total += jobs[i + k++].n;
		if (!k)
			return err_new(ERR_INTERNAL, "%zu calls at once", jobs[i].n);
		TRY(ask_round(a, jobs + i, k));
		i += k;
	}
	return NULL;
}

// The first thread may have ended: what is asked for the whole process any other one answers.
static pid_t stand_in(struct ask *a, pid_t tid)
{
	if (process_thread(a->p, tid) || tid != a->p->pid)
		return tid;
	vec_for_each(t, &a->p->threads)
		if (t->state == THREAD_STOPPED)
			return t->tid;
	return tid;
}

struct err *ask_calls(struct remote *r, pid_t tid, struct syscall_req *reqs, size_t n,
		      bool all, size_t *done)
{
	*done = 0;
	tid = stand_in(ask_of(r), tid);
	while (n) {
		struct ask_job j = {.tid = tid,
				    .reqs = reqs,
				    .n = MIN(n, (size_t)ASK_REQS),
				    .all = all};

		TRY(ask_round(ask_of(r), &j, 1));
		*done += j.done;
		if (j.gone)
			return thread_gone(ask_of(r)->p, tid);
		if (j.done < j.n || (!all && reqs[j.n - 1].ret < 0))
			return NULL;
		reqs += j.n;
		n -= j.n;
	}
	return NULL;
}
