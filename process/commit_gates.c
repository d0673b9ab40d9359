// SPDX-License-Identifier: LGPL-2.1-or-later
// The threads of a commit: their two register sets in the control area, and the way to their gates.
#include "process/commit_impl.h"

static const uint64_t ALL_SIGNALS = ~0ull;

static const struct user_regs_struct *new_regs(const struct commit *c,
					       const struct thread *t)
{
	vec_for_each(m, &c->moves)
		if (m->tid == t->tid)
			return &m->regs;
	return &t->regs;
}

struct err *commit_write_header(struct commit *c)
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
		area_state_from(&r->old_state, &t->regs, t->sigmask);
		area_state_from(&r->new_state, new_regs(c, t), t->sigmask);
	}
	c->head->n_records = (uint32_t)n;
	c->head->n_log = (uint32_t)c->n_patches;
	*c->word = COMMIT_UNDECIDED;
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

struct err *commit_enter_gates(struct commit *c)
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
void commit_mark_dirty(struct commit *c)
{
	vec_for_each(t, &c->p->threads)
		if (t->state == THREAD_STOPPED)
			t->regs_dirty = t->mask_dirty = true;
}

// Exchanges the registers of moved threads with those of commit_move_thread, forth and back.
void commit_swap_moves(struct commit *c)
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
