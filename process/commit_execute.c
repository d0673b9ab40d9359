// SPDX-License-Identifier: LGPL-2.1-or-later
// The critical part of a commit: gates, decision, redo; its undo; and the end. See findings-safety.md.
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "process/commit_impl.h"
#include "process/memory.h"
#include "util/cleanup.h"

static const uint64_t RUN_TIMEOUT_NS = 200000000; // a stop this long is a failure anyway

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

static void settle(struct commit *c)
{
	c->stage = COMMIT_EXECUTED;
	commit_swap_moves(c);
	commit_mark_dirty(c);
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

static struct err *run(struct commit *c, uint64_t mode)
{
	uint64_t result = RUN_DONE;

	TRY(call(c, payload_commit_run, mode, &result));
	if (result == RUN_DONE)
		return NULL;
	if (result == RUN_MISMATCH && c->head->failed < c->n_patches)
		return mismatch(c, c->head->failed);
	return err_new(ERR_ROLLED_BACK, "the commit was decided by a thread");
}

static struct err *decide(struct commit *c)
{
	if (!cas(c->word, COMMIT_UNDECIDED, COMMIT_DECIDED))
		return err_new(ERR_ROLLED_BACK, "the commit was decided by a thread");
	return fault_point("after-decision");
}

// Verify and decide. One alone is executed in the same call, unless a fault point lies between.
static struct err *verify_and_decide(struct commit *const *c, size_t n)
{
	if (n == 1 && !fault_armed("after-decision"))
		return run(c[0], RUN_ALL);
	for (size_t i = 0; i < n; i++)
		TRY(run(c[i], RUN_VERIFY_ONLY));
	return decide(c[0]);
}

// Decided: makes sure that the log is executed, now or by the threads on their way.
static void redo(struct commit *c, bool by_helper)
{
	uint64_t result;

	if (by_helper && !__atomic_load_n(&c->head->done, __ATOMIC_ACQUIRE))
		err_free(call(c, payload_commit_redo, 0, &result));
	if (__atomic_load_n(&c->head->done, __ATOMIC_ACQUIRE)) {
		settle(c);
		return;
	}
	// The helper is out of it and may have been anywhere in the log. All threads are stopped, so that
	// executing it from the start is the same; the first one through its gate does it.
	__atomic_store_n(&c->head->lock, 0, __ATOMIC_RELEASE);
	leave_to_gates(c);
}

static struct err *roll_back(struct commit *const *c, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		commit_mark_dirty(c[i]);
		c[i]->moves.n = 0;
	}
	if (e->kind == ERR_SYSTEM || e->kind == ERR_INTERNAL)
		e->kind = ERR_ROLLED_BACK;
	return e;
}

static struct err *begin(struct commit *c)
{
	if (c->stage != COMMIT_OPEN)
		return err_new(ERR_INTERNAL, "the commit was executed before");
	TRY(commit_leave_rseq(c));
	TRY(commit_write_header(c));
	TRY(fault_point("before-verify"));
	return check_unprepared(c);
}

static struct err *begin_all(struct commit *const *c, size_t n)
{
	struct err *e = NULL;

	for (size_t i = 0; i < n && !e; i++)
		e = begin(c[i]);
	for (size_t i = 0; i < n && e; i++)
		c[i]->moves.n = 0;
	return e;
}

static struct err *enter_all(struct commit *const *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		TRY(commit_enter_gates(c[i]));
		if (n > 1 && i == 0)
			TRY(fault_point("family-one-gated"));
	}
	return fault_point("after-gates-set");
}

static struct err *redo_all(struct commit *const *c, size_t n, bool by_helper)
{
	struct err *e = NULL;

	for (size_t i = 0; i < n; i++) {
		redo(c[i], by_helper);
		if (n > 1 && i == 0)
			e = fault_point("family-one-redone");
	}
	if (!e && c[0]->stage == COMMIT_EXECUTED)
		e = fault_point("after-redo");
	return e ? commit_take_back(c, n, e) : NULL;
}

struct err *commit_execute_all(struct commit *const *c, size_t n)
{
	uint64_t t0 = monotonic_ns(), t1;

	for (size_t i = 0; i < n; i++)
		if (c[i]->word != c[0]->word)
			return err_new(ERR_INTERNAL, "commits without a common decision");
	TRY(begin_all(c, n));
	t1 = monotonic_ns();
	c[0]->times.log = t1 - t0;
	struct err *e = enter_all(c, n);
	t0 = monotonic_ns();
	c[0]->times.gates = t0 - t1;
	if (!e)
		e = verify_and_decide(c, n);
	// What the call into the target did not say: undecided is a no from here on.
	if (e && (cas(c[0]->word, COMMIT_UNDECIDED, COMMIT_ABORTED) ||
		  __atomic_load_n(c[0]->word, __ATOMIC_ACQUIRE) != COMMIT_DECIDED))
		return roll_back(c, n, e);
	bool by_helper = !e; // decided: there is no way back from here
	err_free(e);
	e = redo_all(c, n, by_helper);
	c[0]->times.run = monotonic_ns() - t0;
	return e;
}

struct err *commit_execute(struct commit *c)
{
	return commit_execute_all(&c, 1);
}

bool commit_in_force(const struct commit *c)
{
	return c->stage == COMMIT_EXECUTED ||
	       (c->stage == COMMIT_BY_GATES &&
		__atomic_load_n(c->word, __ATOMIC_ACQUIRE) == COMMIT_DECIDED);
}

// *left: the threads do it on their way, or the process is gone.
static struct err *undo_one(struct commit *c, bool *left)
{
	uint64_t result;

	*left = c->stage == COMMIT_BY_GATES;
	if (*left)
		return NULL;
	commit_swap_moves(c);
	struct err *e = fault_point("after-undo-decision");
	if (!e)
		e = call(c, payload_commit_undo, 0, &result);
	if (!e)
		e = fault_point("after-undo");
	c->moves.n = 0;
	if (e && !__atomic_load_n(&c->head->undone, __ATOMIC_ACQUIRE)) {
		leave_to_gates(c);
		*left = true;
		return e;
	}
	c->stage = COMMIT_OPEN;
	commit_mark_dirty(c);
	return e;
}

struct err *commit_undo_all(struct commit *const *c, size_t n)
{
	bool any_left = false;
	struct err *first = NULL;

	for (size_t i = 0; i < n; i++)
		if (c[i]->stage != COMMIT_EXECUTED &&
		    (n == 1 || c[i]->stage != COMMIT_BY_GATES))
			return err_new(ERR_INTERNAL,
				       "there is no commit that could be taken back");
	TRY(fault_point("before-undo"));
	// The threads are at their gates still: whether the tool dies before or behind this word,
	// what they find is one thing and not a mixture.
	if (!cas(c[0]->word, COMMIT_DECIDED, COMMIT_UNDOING))
		return err_new(ERR_INTERNAL, "a thread has left its gate");
	for (size_t i = 0; i < n; i++) {
		bool left;
		struct err *e = undo_one(c[i], &left);

		if (!e && n > 1 && i == 0)
			e = fault_point("family-one-undone");
		any_left |= left;
		first = err_first(first, e);
	}
	return any_left && first
		       ? err_wrap(first, "the threads take the commit back themselves")
		       : first;
}

struct err *commit_undo(struct commit *c)
{
	return commit_undo_all(&c, 1);
}

struct err *commit_take_back(struct commit *const *c, size_t n, struct err *e)
{
	struct err *undo = commit_undo_all(c, n);

	if (!undo)
		e->kind = ERR_ROLLED_BACK;
	return err_first(undo, e);
}
