// SPDX-License-Identifier: LGPL-2.1-or-later
// The threads of a commit: their two register sets in the control area, and the way to their gates.
#include <sys/syscall.h>

#include "process/commit_impl.h"

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
		state_from(&r->old_state, &t->regs, t->sigmask);
		state_from(&r->new_state, new_regs(c, t), t->sigmask);
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
