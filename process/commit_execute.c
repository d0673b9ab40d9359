// SPDX-License-Identifier: LGPL-2.1-or-later
// The critical part of a commit: gates, decision, redo; its undo; and the end. See findings-safety.md.
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <sys/syscall.h>

#include "process/commit_impl.h"
#include "process/memory.h"
#include "util/cleanup.h"

static const uint64_t RUN_TIMEOUT_NS = 200000000; // a stop this long is a failure anyway
static const uint64_t ALL_SIGNALS = ~0ull;

static void state_from(struct thread_state_rec *s, const struct user_regs_struct *r,
		       uint64_t sigmask)
{
	uint64_t exit_stub = s->exit_stub;

	*s = (struct thread_state_rec){
		.r15 = r->r15,
		.r14 = r->r14,
		.r13 = r->r13,
		.r12 = r->r12,
		.rbp = r->rbp,
		.rbx = r->rbx,
		.r11 = r->r11,
		.r10 = r->r10,
		.r9 = r->r9,
		.r8 = r->r8,
		.rax = r->rax,
		.rcx = r->rcx,
		.rdx = r->rdx,
		.rsi = r->rsi,
		.rdi = r->rdi,
		.rip = r->rip,
		.flags = r->eflags,
		.rsp = r->rsp,
		.sigmask = sigmask,
		.exit_stub = exit_stub,
	};
	if ((int64_t)r->orig_rax < 0)
		return;
	// The kernel restarts an interrupted system call only for a thread that goes on from the
	// stop with these registers; through the gate it has to be done here.
	switch ((int64_t)r->rax) {
	case -512: // ERESTARTSYS
	case -513: // ERESTARTNOINTR
	case -514: // ERESTARTNOHAND
		s->rax = r->orig_rax;
		s->rip -= 2;
		break;
	case -516: // ERESTART_RESTARTBLOCK
		s->rax = SYS_restart_syscall;
		s->rip -= 2;
		break;
	}
}

static const struct user_regs_struct *new_regs(const struct commit *c,
					       const struct thread *t)
{
	vec_for_each(m, &c->moves)
		if (m->tid == t->tid)
			return &m->regs;
	return &t->regs;
}

static struct err *mismatch(const struct commit *c, size_t i)
{
	const struct commit_log_entry *e = &c->log[i];
	const struct commit_span *s = commit_prepared(c, e->addr, e->len);
	bool text = false;

	for (size_t k = 0; s && k < c->n_prepared; k++)
		if (e->addr - c->ranges[k].addr < c->ranges[k].len)
			text = c->ranges[k].prot & PROT_EXEC;
	struct err *err =
		err_new(ERR_ROLLED_BACK, "%s: the bytes at 0x%llx are not those expected",
			c->what[i] ? c->what[i] : "patch", (unsigned long long)e->addr);
	if (text)
		return err_with(err, "text-changed", c->what[i]);
	return err_with(err, "data-changed", c->what[i]);
}

// Places that were not prepared: a read shows the old bytes, a write of the same bytes that the redo
// will not fault (and makes the page private now). Everything is stopped.
static struct err *check_unprepared(struct commit *c)
{
	uint8_t *buf;
	_cleanup_free_ uint8_t *owner = NULL;
	size_t n = 0;

	c->scratch.n = 0;
	for (size_t i = 0; i < c->n_patches; i++)
		n += !commit_prepared(c, c->log[i].addr, c->log[i].len);
	if (!n)
		return NULL;
	buf = owner = calloc(n, PATCH_MAX);
	if (!owner)
		return err_nomem();
	for (size_t i = 0; i < c->n_patches; i++) {
		const struct commit_log_entry *e = &c->log[i];

		if (commit_prepared(c, e->addr, e->len))
			continue;
		TRY(vec_push(
			&c->scratch,
			(struct mem_range){.addr = e->addr, .buf = buf, .len = e->len}));
		buf += PATCH_MAX;
	}
	struct err *e = mem_read_many(c->p->pid, c->scratch.v, c->scratch.n);
	if (e)
		return err_with(err_wrap(e, "a place to change cannot be read"),
				"data-changed", NULL);
	for (size_t i = 0, k = 0; i < c->n_patches; i++) {
		if (commit_prepared(c, c->log[i].addr, c->log[i].len))
			continue;
		if (memcmp(c->scratch.v[k++].buf, c->log[i].old_bytes, c->log[i].len))
			return mismatch(c, i);
	}
	e = mem_write_many(c->p->pid, c->scratch.v, c->scratch.n);
	if (e)
		return err_with(err_wrap(e, "a place to change cannot be written"),
				"data-changed", NULL);
	return NULL;
}

static struct err *write_header(struct commit *c)
{
	size_t n = 0;

	vec_for_each(t, &c->p->threads) {
		if (t->state == THREAD_GONE)
			continue;
		if (t->state != THREAD_STOPPED)
			return err_new(ERR_INTERNAL, "thread %d is not stopped", t->tid);
		if (area_contains(&c->area, t->regs.rip))
			return err_new(ERR_INTERNAL, "thread %d is in a gate", t->tid);
		if (n == c->max_threads)
			return err_with(err_new(ERR_BUSY, "more than %zu threads", n),
					"not-quiescent", NULL);
		struct commit_record *r = &c->records[n++];

		r->left = 0;
		r->tid = t->tid;
		state_from(&r->old_state, &t->regs, t->sigmask);
		state_from(&r->new_state, new_regs(c, t), t->sigmask);
	}
	c->head->n_records = (uint32_t)n;
	c->head->n_log = (uint32_t)c->n_patches;
	c->head->decision = COMMIT_UNDECIDED;
	c->head->lock = c->head->done = c->head->unlock = c->head->undone = 0;
	__atomic_store_n(&c->head->state, COMMIT_AREA_GATES, __ATOMIC_RELEASE);
	return NULL;
}

static struct user_regs_struct gate_regs(const struct commit *c, const struct thread *t,
					 size_t i)
{
	struct user_regs_struct r = t->regs;

	r.rip = c->area.addr + payload_commit_gate;
	r.r15 = c->area.addr + PAYLOAD_PAGE + c->head->records_off + i * CR_SIZE;
	r.orig_rax =
		~0ull; // no restart on the way there; the restart block stays as it is
	r.eflags = 0x202;
	return r;
}

static struct err *enter_gates(struct commit *c)
{
	size_t i = 0;

	vec_for_each(t, &c->p->threads) {
		if (t->state != THREAD_STOPPED)
			continue;
		struct user_regs_struct r = gate_regs(c, t, i++);

		TRY(thread_set(c->p, t, &r, ALL_SIGNALS));
		// What stands in the kernel is not t->regs any more, whatever happens next.
		t->regs_dirty = t->mask_dirty = true;
		if (i == 1)
			TRY(fault_point("in-gates"));
	}
	return NULL;
}

// What a thread goes on with is written by process_thaw.
static void mark_dirty(struct commit *c)
{
	vec_for_each(t, &c->p->threads)
		if (t->state == THREAD_STOPPED)
			t->regs_dirty = t->mask_dirty = true;
}

// Exchanges the registers of moved threads with those of commit_move_thread, forth and back.
static void swap_moves(struct commit *c)
{
	vec_for_each(m, &c->moves) {
		struct thread *t = process_thread(c->p, m->tid);

		if (t && t->state == THREAD_STOPPED) {
			struct user_regs_struct regs = t->regs;

			t->regs = m->regs;
			m->regs = regs;
		}
	}
}

static void settle(struct commit *c)
{
	c->stage = COMMIT_EXECUTED;
	swap_moves(c);
	mark_dirty(c);
}

// The threads go through their gates when they are released: the tool writes nothing.
static void leave_to_gates(struct commit *c)
{
	vec_for_each(t, &c->p->threads)
		t->regs_dirty = t->mask_dirty = false;
	c->stage = COMMIT_BY_GATES;
}

static bool cas(uint32_t *word, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(word, &from, to, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

static struct err *call(struct commit *c, uint32_t func, uint64_t arg, uint64_t *ret)
{
	return helper_call(c->h, c->area.addr + func, arg, RUN_TIMEOUT_NS, ret);
}

// Verify, decide, redo; by one call in the target unless a fault point lies between.
static struct err *run(struct commit *c)
{
	bool split = fault_armed("after-decision");
	uint64_t result = RUN_DONE;

	TRY(call(c, payload_commit_run, split, &result));
	switch (result) {
	case RUN_DONE:
		break;
	case RUN_MISMATCH:
		if (c->head->failed < c->n_patches)
			return mismatch(c, c->head->failed);
		break;
	default:
		return err_new(ERR_ROLLED_BACK, "the commit was decided by a thread");
	}
	if (!split)
		return NULL;
	TRY(fault_point("after-decision"));
	return call(c, payload_commit_redo, 0, &result);
}

// Makes sure what the outcome is when the call into the target did not say it.
static struct err *resolve(struct commit *c, struct err *e)
{
	if (cas(&c->head->decision, COMMIT_UNDECIDED, COMMIT_ABORTED))
		return e;
	if (__atomic_load_n(&c->head->decision, __ATOMIC_ACQUIRE) != COMMIT_DECIDED)
		return e;
	err_free(e); // decided: there is no way back from here
	if (__atomic_load_n(&c->head->done, __ATOMIC_ACQUIRE)) {
		settle(c);
		return NULL;
	}
	// The helper is out of it and may have been anywhere in the log. All threads are stopped, so that
	// executing it from the start is the same; the first one through its gate does it.
	__atomic_store_n(&c->head->lock, 0, __ATOMIC_RELEASE);
	leave_to_gates(c);
	return NULL;
}

static struct err *roll_back(struct commit *c, struct err *e)
{
	mark_dirty(c);
	c->moves.n = 0;
	if (e->kind == ERR_SYSTEM || e->kind == ERR_INTERNAL)
		e->kind = ERR_ROLLED_BACK;
	return e;
}

struct err *commit_execute(struct commit *c)
{
	uint64_t t0 = monotonic_ns(), t1;
	struct err *e;

	if (c->stage != COMMIT_OPEN)
		return err_new(ERR_INTERNAL, "the commit was executed before");
	e = commit_leave_rseq(c);
	if (!e)
		e = write_header(c);
	if (!e)
		e = fault_point("before-verify");
	if (!e)
		e = check_unprepared(c);
	if (e) {
		c->moves.n = 0;
		return e;
	}
	t1 = monotonic_ns();
	c->times.log = t1 - t0;
	e = enter_gates(c);
	if (!e)
		e = fault_point("after-gates-set");
	t0 = monotonic_ns();
	c->times.gates = t0 - t1;
	if (e) {
		c->head->decision = COMMIT_ABORTED;
		return roll_back(c, e);
	}
	e = run(c);
	c->times.run = monotonic_ns() - t0;
	if (e) {
		e = resolve(c, e);
		return e ? roll_back(c, e) : NULL;
	}
	settle(c);
	e = fault_point("after-redo");
	if (e) {
		struct err *undo = commit_undo(c);

		if (undo) {
			err_free(e);
			return undo;
		}
		e->kind = ERR_ROLLED_BACK;
	}
	return e;
}

bool commit_in_force(const struct commit *c)
{
	return c->stage == COMMIT_EXECUTED ||
	       (c->stage == COMMIT_BY_GATES &&
		__atomic_load_n(&c->head->decision, __ATOMIC_ACQUIRE) == COMMIT_DECIDED);
}

struct err *commit_undo(struct commit *c)
{
	uint64_t result;
	struct err *e;

	if (c->stage != COMMIT_EXECUTED)
		return err_new(ERR_INTERNAL,
			       "there is no commit that could be taken back");
	TRY(fault_point("before-undo"));
	// The threads are at their gates still: whether the tool dies before or behind this word,
	// what they find is one thing and not a mixture.
	if (!cas(&c->head->decision, COMMIT_DECIDED, COMMIT_UNDOING))
		return err_new(ERR_INTERNAL, "a thread has left its gate");
	swap_moves(c);
	e = fault_point("after-undo-decision");
	if (!e)
		e = call(c, payload_commit_undo, 0, &result);
	if (!e)
		e = fault_point("after-undo");
	c->moves.n = 0;
	if (e && !__atomic_load_n(&c->head->undone, __ATOMIC_ACQUIRE)) {
		leave_to_gates(c);
		return err_wrap(e, "the threads take the commit back themselves");
	}
	c->stage = COMMIT_OPEN;
	mark_dirty(c);
	return e;
}
