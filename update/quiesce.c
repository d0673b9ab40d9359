// SPDX-License-Identifier: LGPL-2.1-or-later
// Finding the moment; see quiesce.h.
#include "update/quiesce.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "update/hidden.h"
#include "update/images.h"
#include "update/judge.h"
#include "util/cleanup.h"

enum {
	GATES_MAX = 1024,
	STOP_TIMEOUT_MS = 200, // for one thread; one that takes longer is met in the stop
};

struct quiesce {
	const struct target *target;
	taddr_t near; // an image that changes
	struct process *process;
	struct helper *helper;
	struct quiesce_options opt;
	struct unwinder *unwinder;
	struct judge judge;
	struct gates *gates;
	struct hidden *hidden;
	struct frames frames; // reused
	struct verdicts verdicts;
	struct images images;
	bool exceptions; // C++ unwinds through return addresses: no gates
	bool at_seen;	 // a gate over the function named by --at is planted
	bool at_reached;
	bool ready;	// what the last look found
	size_t planted; // gates, since then
	uint64_t judge_ns;
};

void quiesce_free(struct quiesce *q)
{
	if (!q)
		return;
	gates_free(q->gates);
	hidden_free(q->hidden);
	verdicts_deinit(&q->verdicts);
	judge_deinit(&q->judge);
	frames_deinit(&q->frames);
	unwinder_free(q->unwinder);
	images_deinit(&q->images);
	free(q);
}

void quiesce_freep(struct quiesce **q)
{
	quiesce_free(*q);
}

uint64_t quiesce_judge_ns(const struct quiesce *q)
{
	return q->judge_ns;
}

static taddr_t real_address(void *arg, taddr_t addr)
{
	const struct quiesce *q = arg;
	taddr_t real = q->gates ? gates_real(q->gates, addr) : 0;

	return real ? real : addr;
}

static struct err *quiesce_init(struct quiesce *q, struct plan *const *plans, size_t n)
{
	TRY(unwinder_create(q->process, &q->target->maps, &q->unwinder));
	q->judge = (struct judge){.u = q->unwinder,
				  .keep_old = q->opt.keep_old,
				  .n_keep_old = q->opt.n_keep_old};
	for (size_t i = 0; i < n; i++) {
		TRY(judge_add(&q->judge, plans[i]));
		q->exceptions |= subject_unwinds(plans[i]->subject);
	}
	unwinder_set_translate(q->unwinder, real_address, q);
	TRY(hidden_create(&q->judge, q->process, &q->hidden));
	return images_add(&q->images, q->unwinder, &q->judge, q->target);
}

struct err *quiesce_create(struct plan *const *plans, size_t n, struct helper *h,
			   const struct quiesce_options *opt, struct quiesce **ret)
{
	struct quiesce *q = calloc(1, sizeof(*q));

	if (!q)
		return err_nomem();
	q->target = plans[0]->subject->target;
	q->near = subject_base(plans[0]->subject);
	q->process = q->target->process;
	q->helper = h;
	q->opt = *opt;
	struct err *e = quiesce_init(q, plans, n);
	if (e) {
		quiesce_free(q);
		return e;
	}
	*ret = q;
	return NULL;
}

struct judge *quiesce_judge(struct quiesce *q)
{
	return &q->judge;
}

struct unwinder *quiesce_unwinder(struct quiesce *q)
{
	return q->unwinder;
}

static uint64_t after_ms(int ms)
{
	return monotonic_ns() + (uint64_t)ms * 1000000;
}

static struct err *judge_thread(struct quiesce *q, const struct thread *t)
{
	taddr_t slot;

	TRY(unwind_thread(q->unwinder, &t->regs, &q->frames));
	TRY(hidden_note_walk(q->hidden, t, &q->frames));
	if (q->opt.at && !q->at_reached &&
	    stack_has(&q->judge, &q->frames, q->opt.at, &slot))
		q->at_seen = true;
	return judge_stack(&q->judge, t->tid, t->comm, &q->frames, &q->verdicts);
}

struct err *quiesce_rehearse(struct quiesce *q)
{
	verdicts_reset(&q->verdicts);
	hidden_forget_walks(q->hidden);
	for (size_t i = 0; i < q->process->threads.n; i++) {
		struct thread *t = &q->process->threads.v[i];
		struct err *e = thread_stop(q->process, t, after_ms(STOP_TIMEOUT_MS));

		if (e ||
		    t->state !=
			    THREAD_STOPPED) { // ended meanwhile, or busy: the stop will tell
			err_free(e);
			continue;
		}
		e = judge_thread(q, t);
		TRY(err_first(e, thread_release(q->process, t)));
	}
	TRY(judge_answer(&q->judge));
	// Unwinding again with all verdicts known costs no stop: only the first walk was cold.
	TRY(hidden_search(q->hidden));
	verdicts_reset(&q->verdicts);
	TRY(hidden_judge(q->hidden, false,
			 &q->verdicts)); // what it asks is known in the stop
	TRY(judge_answer(&q->judge));
	return hidden_notes(q->hidden);
}

// Adds the moves to the commit: return addresses as patches, program counters as registers.
static struct err *add_moves(struct quiesce *q, struct commit *c)
{
	vec_for_each(m, &q->verdicts.moves) {
		if (m->slot) {
			struct patch patch = {
				.addr = m->slot, .len = 8, .what = "return address"};

			memcpy(patch.old_bytes, &m->from, 8);
			memcpy(patch.new_bytes, &m->to, 8);
			TRY(commit_add(c, &patch));
			continue;
		}
		struct thread *t = process_thread(q->process, m->tid);
		if (!t)
			continue;
		struct user_regs_struct regs = t->regs;
		regs.rip = m->to;
		TRY(commit_move_thread(c, m->tid, &regs));
	}
	return NULL;
}

// In the stop: true in *ready when every frame may move and the moment has come.
static struct err *judge_all(struct quiesce *q, bool *ready)
{
	verdicts_reset(&q->verdicts);
	hidden_forget_walks(q->hidden);
	q->at_seen = false;
	vec_for_each(t, &q->process->threads)
		if (t->state == THREAD_STOPPED)
			TRY(judge_thread(q, t));
	TRY(hidden_judge(q->hidden, true, &q->verdicts));
	*ready = !q->verdicts.obstacles.n && (!q->opt.at || q->at_reached);
	return NULL;
}

struct err *quiesce_plant(struct quiesce *q)
{
	q->planted = 0;
	if (q->exceptions || !q->gates)
		return NULL;
	vec_for_each(o, &q->verdicts.obstacles) {
		if (!o->gate_slot || o->unjudged)
			continue;
		TRY(gates_plant(q->gates, o->tid, o->gate_slot));
		q->planted++;
	}
	if (!q->opt.at || q->at_reached || !q->at_seen)
		return NULL;
	vec_for_each(t, &q->process->threads) {
		taddr_t slot;

		if (t->state != THREAD_STOPPED)
			continue;
		TRY(unwind_thread(q->unwinder, &t->regs, &q->frames));
		if (!stack_has(&q->judge, &q->frames, q->opt.at, &slot))
			continue;
		TRY(gates_plant(q->gates, t->tid, slot));
		q->planted++;
	}
	return NULL;
}

bool quiesce_only_unjudged(const struct quiesce *q)
{
	vec_for_each(o, &q->verdicts.obstacles)
		if (!o->unjudged)
			return false;
	return q->verdicts.obstacles.n || !q->opt.at || q->at_reached;
}

const char *quiesce_obstacle(const struct quiesce *q)
{
	return q->verdicts.obstacles.n ? q->verdicts.obstacles.v[0].reason : NULL;
}

struct err *quiesce_failed(const struct quiesce *q)
{
	if (!q->verdicts.obstacles.n)
		return err_with(err_new(ERR_BUSY, "%s did not return in time",
					q->opt.at ? q->opt.at : "a function"),
				"not-quiescent", q->opt.at);
	const struct obstacle *o = &q->verdicts.obstacles.v[0];
	_cleanup_free_ char *text = obstacle_text(o);
	char object[32];

	if (o->hidden)
		return err_with(err_new(ERR_BUSY, "%s", text ? text : o->reason),
				"hidden-stack", o->func);
	snprintf(object, sizeof(object), "thread %d", o->tid);
	return err_with(
		err_new(ERR_BUSY, "not quiescent in time: %s", text ? text : o->reason),
		"not-quiescent", object);
}

struct err *quiesce_look(struct quiesce *q, struct commit *c, bool *ready)
{
	size_t mark = commit_mark(c);
	uint64_t start = monotonic_ns();

	q->planted = 0;
	q->ready = false;
	struct err *e = q->gates ? gates_withdraw(q->gates) : NULL;
	if (!e)
		e = judge_all(q, &q->ready);
	if (!e && q->ready)
		e = add_moves(q, c);
	if (e)
		commit_reset(c, mark);
	q->judge_ns = monotonic_ns() - start;
	*ready = !e && q->ready;
	return e;
}

struct err *quiesce_answer(struct quiesce *q)
{
	if (!q->ready && !q->gates && !q->exceptions && !quiesce_only_unjudged(q))
		TRY(gates_create(q->process, q->helper, q->near, GATES_MAX, &q->gates));
	return judge_answer(&q->judge);
}

bool quiesce_still_waits(struct quiesce *q)
{
	bool still = false;

	// First the gates, where there may be some: between two sleeps it may be outside for a moment only.
	if (!q->exceptions && !q->planted)
		return false;
	for (size_t i = 0; i < q->verdicts.obstacles.n && !still; i++) {
		const struct obstacle *o = &q->verdicts.obstacles.v[i];
		_cleanup_(verdicts_deinit) struct verdicts now = {0};

		if (o->unjudged)
			continue;
		struct err *e = unwind_blocked(q->unwinder, o->tid, &q->frames);
		// The outer frames cannot be walked without all registers, and need not.
		q->frames.complete = true;
		if (!e)
			e = judge_stack(&q->judge, o->tid, o->comm, &q->frames, &now);
		still = !e && now.obstacles.n && !now.obstacles.v[0].unjudged;
		err_free(e);
	}
	return still;
}

bool quiesce_planted(const struct quiesce *q)
{
	return q->planted;
}

struct err *quiesce_wait(struct quiesce *const *q, size_t n, uint64_t deadline)
{
	_cleanup_free_ struct gates **gates = calloc(n, sizeof(struct gates *));
	unsigned reached = 0;
	size_t planted = 0;

	if (!gates)
		return err_nomem();
	for (size_t i = 0; i < n; i++)
		if (q[i]->planted)
			gates[planted++] = q[i]->gates;
	if (!planted)
		return NULL;
	// The one that comes out of the function of --at, or all held threads together.
	if (n == 1 && q[0]->opt.at && q[0]->at_seen && !q[0]->at_reached) {
		TRY(gates_wait_any(q[0]->gates, deadline, &reached));
		q[0]->at_reached |= reached > 0;
		return NULL;
	}
	return gates_wait_several(gates, planted, deadline, &reached);
}

struct err *quiesce_rests(struct quiesce *q, bool *ret)
{
	*ret = false;
	verdicts_reset(&q->verdicts);
	TRY(hidden_judge(q->hidden, false, &q->verdicts));
	vec_for_each(o, &q->verdicts.obstacles)
		*ret |= !o->unjudged;
	return NULL;
}
