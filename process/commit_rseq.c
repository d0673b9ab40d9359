// SPDX-License-Identifier: LGPL-2.1-or-later
// Threads in a restartable sequence (rseq(2)): a stopped one goes on at the sequence's abort address, as
// the kernel decides when it next runs. On the way through a gate the kernel would not see it any more.
#include "os/ptrace.h"
#include "process/commit_impl.h"
#include "process/rseq.h"
#include "util/cleanup.h"

static bool is_moved(const struct commit *c, pid_t tid)
{
	vec_for_each(m, &c->moves)
		if (m->tid == tid)
			return true;
	return false;
}

static struct err *leave_section(struct commit *c, struct thread *t)
{
	taddr_t abort_at;

	TRY(rseq_abort_address(c->p, t, &abort_at));
	if (!abort_at)
		return NULL;
	if (is_moved(c, t->tid))
		return err_with(err_new(ERR_BUSY,
					"thread %d (%s) is in a restartable sequence",
					t->tid, t->comm),
				"not-quiescent", t->comm);
	t->regs.rip = abort_at;
	t->regs_dirty = true;
	return NULL;
}

// Where the rseq areas are, from the thread pointer on: they are thread-local variables, so one thread's
// tells all. False when there are none.
static bool area_offset(const struct commit *c, int64_t *ret)
{
	struct uapi_rseq_configuration rseq;

	vec_for_each(t, &c->p->threads) {
		if (t->state != THREAD_STOPPED)
			continue;
		if (os_ptrace_rseq(t->tid, &rseq) < 0)
			return false; // a kernel before 5.13
		if (!rseq.pointer)
			continue;
		*ret = (int64_t)(rseq.pointer - t->regs.fs_base);
		return true;
	}
	return false;
}

struct err *commit_leave_rseq(struct commit *c)
{
	size_t n = c->p->threads.n, k = 0;
	_cleanup_free_ uint64_t *sections = NULL;
	int64_t offset;

	if (!area_offset(c, &offset))
		return NULL;
	sections = calloc(n + 1, sizeof(*sections));
	if (!sections)
		return err_nomem();
	c->scratch.n = 0;
	vec_for_each(t, &c->p->threads) {
		uint64_t area = t->regs.fs_base + (uint64_t)offset;
		struct mem_range r = {.addr = area + offsetof(struct uapi_rseq, rseq_cs),
				      .buf = &sections[k],
				      .len = sizeof(*sections)};

		if (t->state != THREAD_STOPPED)
			continue;
		TRY(vec_push(&c->scratch, r));
		k++;
	}
	struct err *e = mem_read_many(c->p->pid, c->scratch.v, c->scratch.n);
	bool each = e; // one has no thread pointer: they are asked one by one
	err_free(e);
	k = 0;
	vec_for_each(t, &c->p->threads)
		if (t->state == THREAD_STOPPED && (sections[k++] || each))
			TRY(leave_section(c, t));
	return NULL;
}
