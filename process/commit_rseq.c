// SPDX-License-Identifier: LGPL-2.1-or-later
// Threads in a restartable sequence (rseq(2)): a stopped one goes on at the sequence's abort address, as
// the kernel decides when it next runs. On the way through a gate the kernel would not see it any more.
#include "os/ptrace.h"
#include "process/commit_impl.h"
#include "util/cleanup.h"

struct rseq_section { // struct rseq_cs of linux/rseq.h
	uint32_t version, flags;
	uint64_t start, length, abort;
};

static bool is_moved(const struct commit *c, pid_t tid)
{
	vec_for_each(m, &c->moves)
		if (m->tid == tid)
			return true;
	return false;
}

// What the kernel itself knows of the thread: at the same place of one that never registered its area may be
// anything.
static struct err *section_of(const struct commit *c, const struct thread *t, taddr_t *ret)
{
	struct uapi_rseq_configuration rseq;

	*ret = 0;
	if (os_ptrace_rseq(t->tid, &rseq) < 0 || !rseq.pointer)
		return NULL;
	return mem_read(c->p->pid, rseq.pointer + offsetof(struct uapi_rseq, rseq_cs),
			ret, sizeof(*ret));
}

static struct err *leave_section(struct commit *c, struct thread *t)
{
	struct rseq_section s;
	taddr_t at;

	TRY(section_of(c, t, &at));
	if (!at)
		return NULL;
	TRY(mem_read(c->p->pid, at, &s, sizeof(s)));
	if (t->regs.rip - s.start >= s.length)
		return NULL;
	if (is_moved(c, t->tid))
		return err_with(err_new(ERR_BUSY,
					"thread %d (%s) is in a restartable sequence",
					t->tid, t->comm),
				"not-quiescent", t->comm);
	t->regs.rip = s.abort;
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
