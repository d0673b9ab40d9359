// SPDX-License-Identifier: LGPL-2.1-or-later
// Finding the moment; see quiesce.h.
#include "update/quiesce.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "update/judge.h"
#include "util/cleanup.h"

enum {
	GATES_MAX = 1024,
	STOP_TIMEOUT_MS = 2000, // to get all threads stopped
	GATE_ROUND_MS = 300, // look again even if no gate was reached: threads come and go
	FIRST_PAUSE_MS = 1,  // where gates cannot be used: pauses double from here
	LAST_PAUSE_MS = 64,
};

static const uint64_t UNJUDGED_GRACE_NS = 1000000000;

struct quiesce {
	struct plan *p;
	struct process *process;
	struct helper *helper;
	struct quiesce_options opt;
	struct unwinder *unwinder;
	struct judge judge;
	struct gates *gates;
	struct frames frames; // reused
	struct verdicts verdicts;
	// Modules of earlier generations, for frames that go on in them.
	VEC(struct module *) old_modules;
	VEC(struct loaded_module) loaded;
	bool exceptions; // C++ unwinds through return addresses: no gates
	bool at_seen;	 // a gate over the function named by --at is planted
	bool at_reached;
	unsigned attempts;
	struct quiesce_times times;
	int pause_ms;
};

void quiesce_free(struct quiesce *q)
{
	if (!q)
		return;
	gates_free(q->gates);
	verdicts_deinit(&q->verdicts);
	judge_deinit(&q->judge);
	frames_deinit(&q->frames);
	unwinder_free(q->unwinder);
	vec_for_each(m, &q->old_modules)
		module_close(*m);
	vec_free(&q->old_modules);
	vec_free(&q->loaded);
	free(q);
}

void quiesce_freep(struct quiesce **q)
{
	quiesce_free(*q);
}

unsigned quiesce_attempts(const struct quiesce *q)
{
	return q->attempts;
}

struct quiesce_times quiesce_last_times(const struct quiesce *q)
{
	return q->times;
}

// The unwinder must know the images of all generations: their mappings have no file.
static struct err *add_image(struct quiesce *q, const struct record_image *im,
			     const struct module *file)
{
	struct loaded_module lm = {.file = file, .base = im->base, .start = UINT64_MAX};

	vec_for_each(seg, &file->segments) {
		if (seg->type != PT_LOAD || !(seg->flags & PF_X))
			continue;
		if (im->base + seg->addr < lm.start)
			lm.start = im->base + seg->addr;
		if (im->base + seg->addr + seg->memsz > lm.end)
			lm.end = im->base + seg->addr + seg->memsz;
	}
	return unwinder_add(q->unwinder, &lm);
}

static struct err *add_images(struct quiesce *q)
{
	const struct record *r = q->p->subject->record;

	for (size_t i = 0; i + 1 < r->images.n; i++) {
		struct module *m = NULL;
		struct err *e = module_open(r->images.v[i].path, NULL, &m);

		// A replaced file only means that a frame there could not be walked.
		char id[PROGRAM_ID_MAX] = "";
		if (!e)
			program_id(m, id);
		if (e || strcmp(id, r->images.v[i].build_id)) {
			err_free(e);
			module_close(m);
			continue;
		}
		e = vec_push(&q->old_modules, m);
		if (e) {
			module_close(m);
			return e;
		}
		TRY(add_image(q, &r->images.v[i], m));
	}
	return add_image(q, &r->images.v[r->images.n - 1], q->p->subject->old);
}

static taddr_t real_address(void *arg, taddr_t addr)
{
	const struct quiesce *q = arg;
	taddr_t real = q->gates ? gates_real(q->gates, addr) : 0;

	return real ? real : addr;
}

static struct err *quiesce_init(struct quiesce *q)
{
	struct subject *s = q->p->subject;

	TRY(unwinder_create(q->process, &s->target->maps, &q->unwinder));
	q->judge = (struct judge){.p = q->p,
				  .u = q->unwinder,
				  .keep_old = q->opt.keep_old,
				  .n_keep_old = q->opt.n_keep_old};
	judge_types(&q->judge);
	unwinder_set_translate(q->unwinder, real_address, q);
	q->exceptions = target_unwinds(s->target);
	q->pause_ms = FIRST_PAUSE_MS;
	return add_images(q);
}

struct err *quiesce_create(struct plan *p, struct helper *h,
			   const struct quiesce_options *opt, struct quiesce **ret)
{
	struct quiesce *q = calloc(1, sizeof(*q));

	if (!q)
		return err_nomem();
	q->p = p;
	q->process = p->subject->process;
	q->helper = h;
	q->opt = *opt;
	struct err *e = quiesce_init(q);
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
	if (q->opt.at && !q->at_reached &&
	    stack_has(&q->judge, &q->frames, q->opt.at, &slot))
		q->at_seen = true;
	return judge_stack(&q->judge, t->tid, t->comm, &q->frames, &q->verdicts);
}

struct err *quiesce_rehearse(struct quiesce *q)
{
	verdicts_reset(&q->verdicts);
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
		struct err *e2 = thread_release(q->process, t);
		if (e || e2) {
			if (e)
				err_free(e2);
			return e ? e : e2;
		}
	}
	TRY(judge_answer(&q->judge));
	// Unwinding again with all verdicts known costs no stop: only the first walk was cold.
	return NULL;
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
	q->at_seen = false;
	vec_for_each(t, &q->process->threads)
		if (t->state == THREAD_STOPPED)
			TRY(judge_thread(q, t));
	*ready = !q->verdicts.obstacles.n && (!q->opt.at || q->at_reached);
	return NULL;
}

static struct err *plant(struct quiesce *q, size_t *planted)
{
	*planted = 0;
	if (q->exceptions || !q->gates)
		return NULL;
	vec_for_each(o, &q->verdicts.obstacles) {
		if (!o->gate_slot || o->unjudged)
			continue;
		TRY(gates_plant(q->gates, o->tid, o->gate_slot));
		++*planted;
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
		++*planted;
	}
	return NULL;
}

static bool only_unjudged(const struct quiesce *q)
{
	vec_for_each(o, &q->verdicts.obstacles)
		if (!o->unjudged)
			return false;
	return q->verdicts.obstacles.n > 0;
}

static struct err *not_quiescent(struct quiesce *q)
{
	if (!q->verdicts.obstacles.n)
		return err_with(err_new(ERR_BUSY, "%s did not return in time",
					q->opt.at ? q->opt.at : "a function"),
				"not-quiescent", q->opt.at);
	const struct obstacle *o = &q->verdicts.obstacles.v[0];
	_cleanup_free_ char *text = obstacle_text(o);
	char object[32];

	snprintf(object, sizeof(object), "thread %d", o->tid);
	return err_with(
		err_new(ERR_BUSY, "not quiescent in time: %s", text ? text : o->reason),
		"not-quiescent", object);
}

// Runs on until a gate is reached or it is time to look again.
static struct err *pause_for(struct quiesce *q, uint64_t deadline, size_t planted)
{
	unsigned reached = 0;

	TRY(judge_answer(&q->judge));
	if (only_unjudged(q))
		return NULL;
	if (q->opt.progress && q->verdicts.obstacles.n)
		q->opt.progress(q->opt.arg, q->verdicts.obstacles.v[0].reason);
	uint64_t until = after_ms(planted ? GATE_ROUND_MS : q->pause_ms);
	if (until > deadline)
		until = deadline;
	if (planted) {
		bool at = q->opt.at && q->at_seen && !q->at_reached;

		// All held threads together, or the one that comes out of the function of --at.
		TRY(at ? gates_wait_any(q->gates, until, &reached)
		       : gates_wait(q->gates, until, &reached));
		q->at_reached |= at && reached;
		return NULL;
	}
	uint64_t now = monotonic_ns();
	if (until > now)
		poll(NULL, 0, (int)((until - now + 999999) / 1000000));
	if (q->pause_ms < LAST_PAUSE_MS)
		q->pause_ms *= 2;
	return NULL;
}

// One attempt. *ready: frozen, and all moves are on the commit. Otherwise the process runs again.
static struct err *attempt(struct quiesce *q, struct commit *c, uint64_t deadline,
			   uint64_t *first_stop, bool *ready, size_t *planted)
{
	size_t mark = commit_mark(c);

	q->attempts++;
	TRY(process_freeze(q->process, after_ms(STOP_TIMEOUT_MS), first_stop));
	uint64_t frozen = monotonic_ns();
	struct err *e = q->gates ? gates_withdraw(q->gates) : NULL;
	if (!e)
		e = judge_all(q, ready);
	if (!e && *ready)
		e = add_moves(q, c);
	q->times = (struct quiesce_times){.freeze = frozen - *first_stop,
					  .judge = monotonic_ns() - frozen};
	if (!e && *ready)
		return NULL;
	*ready = false;
	commit_reset(c, mark);
	if (!e && monotonic_ns() < deadline)
		e = plant(q, planted);
	struct err *thawed = process_thaw(q->process, NULL);
	if (e)
		err_free(thawed);
	return e ? e : thawed;
}

struct err *quiesce_freeze(struct quiesce *q, struct commit *c, uint64_t deadline,
			   uint64_t *first_stop)
{
	for (;;) {
		bool ready = false;
		size_t planted = 0;

		TRY(attempt(q, c, deadline, first_stop, &ready, &planted));
		if (ready)
			return NULL;
		if (!q->gates && !q->exceptions &&
		    (q->verdicts.obstacles.n || q->opt.at) && !only_unjudged(q)) {
			TRY(gates_create(q->process, q->helper, subject_base(q->p->subject),
					 GATES_MAX, &q->gates));
		}
		// Verdicts that are still being worked out may take a little longer.
		uint64_t end = only_unjudged(q) ? deadline + UNJUDGED_GRACE_NS : deadline;
		if (monotonic_ns() >= end)
			return not_quiescent(q);
		TRY(pause_for(q, deadline, planted));
	}
}
