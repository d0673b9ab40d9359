// SPDX-License-Identifier: LGPL-2.1-or-later
// Judging the stacks that no thread is on; see hidden.h.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "update/hidden_impl.h"
#include "util/cleanup.h"

enum {
	IN_STOP_MAX = 64 << 20, // bytes that are looked through again inside the stop
	FRAME_MOST = 8 << 20,
	AROUND_STACK = 64 << 10, // of a hidden stack: dead frames below its top
	LOOSE_FRAMES = 3,	 // so many frames in a row make a stack of a mere pointer
	NOTES_MAX = 4,
};

struct err *hidden_create(struct judge *j, struct process *pr, struct hidden **ret)
{
	struct hidden *h = calloc(1, sizeof(*h));

	if (!h)
		return err_nomem();
	h->j = j;
	h->process = pr;
	h->may_have = hidden_is_possible(j);
	*ret = h;
	return NULL;
}

void hidden_free(struct hidden *h)
{
	if (!h)
		return;
	maps_deinit(&h->maps);
	frames_deinit(&h->frames);
	vec_free(&h->texts);
	vec_free(&h->natives);
	vec_free(&h->contexts);
	vec_free(&h->loose);
	vec_free(&h->walked);
	free(h);
}

void hidden_freep(struct hidden **h)
{
	hidden_free(*h);
}

void hidden_forget_walks(struct hidden *h)
{
	h->walked.n = 0;
	vec_for_each(n, &h->natives)
		n->sp = 0;
}

struct err *hidden_note_walk(struct hidden *h, const struct thread *t,
			     const struct frames *f)
{
	taddr_t lo = t->regs.rsp;

	vec_for_each(n, &h->natives)
		if (n->live && lo >= n->lo && lo < n->hi)
			n->sp = lo;
	vec_for_each(fr, &f->v) {
		if (fr->cfa > lo && fr->cfa - lo < FRAME_MOST)
			TRY(vec_push(&h->walked, (struct walked){lo, fr->cfa, fr->pc}));
		if (fr->cfa)
			lo = fr->cfa;
	}
	return NULL;
}

static bool is_walked(const struct hidden *h, taddr_t addr)
{
	vec_for_each(w, &h->walked)
		if (addr >= w->lo && addr < w->cfa)
			return true;
	return false;
}

static bool is_walked_cfa(const struct hidden *h, taddr_t cfa)
{
	vec_for_each(w, &h->walked)
		if (w->cfa == cfa)
			return true;
	return false;
}

static const struct fde *function_at(const struct hidden *h, taddr_t pc)
{
	const struct loaded_module *m = unwinder_module_at(h->j->u, pc);

	return m && m->file ? module_fde_at(m->file, pc - m->base) : NULL;
}

// Whether the frame that a context leads back to is there still: the same place, the same function.
static bool is_active(const struct hidden *h, const struct frame *fr)
{
	const struct fde *f = function_at(h, fr->pc - 1);

	vec_for_each(w, &h->walked)
		if (w->cfa == fr->cfa && f && function_at(h, w->pc - 1) == f)
			return true;
	return false;
}

// glibc puts the entry of __start_context, as a return address, at the end of a stack of makecontext. When the
// coroutine's function returns there, that calls setcontext, and the call's return address takes the place of
// the entry. The context that was saved last stays in memory.
static bool has_ended(const struct hidden *h, const struct context *c)
{
	const struct frame *last = NULL;

	vec_for_each(fr, &h->frames.v)
		if (fr->module)
			last = fr;
	return c->kind == CONTEXT_UCONTEXT && last && last->module->file &&
	       module_symbol_named(last->module->file, "makecontext") &&
	       hidden_after_call(h, last->pc);
}

// What a context is at this moment.
enum fate {
	FATE_STALE, // its stack has been left, or a thread runs on it
	FATE_ACTIVE, // the frame it leads back to is one of a thread's: only its own pc matters
	FATE_HIDDEN, // no thread is on its stack
};

static enum fate fate_of(const struct hidden *h, const struct context *c,
			 const struct user_regs_struct *regs)
{
	const struct native *n = hidden_native_at(h, regs->rsp);
	const struct frames *f = &h->frames;

	if (n && !n->live)
		return FATE_STALE;
	if (!n && has_ended(h, c))
		return FATE_STALE;
	if (n && n->sp && regs->rsp < n->sp)
		return FATE_STALE;
	if ((n && n->sp) || is_walked(h, regs->rsp))
		return f->v.n && is_active(h, &f->v.v[0]) ? FATE_ACTIVE : FATE_STALE;
	// Saved before, on a stack that a thread is on now: its frames end where that thread's end.
	vec_for_each(fr, &f->v)
		if (fr->cfa && is_walked_cfa(h, fr->cfa))
			return FATE_STALE;
	return FATE_HIDDEN;
}

static const char *place(const struct hidden *h, taddr_t addr)
{
	const struct mapping *m = maps_at(&h->maps, addr);

	return m && *m->path ? m->path : "anonymous memory";
}

static struct err *add_obstacle(struct hidden *h, const struct context *c,
				const struct user_regs_struct *regs, const struct stay *s,
				struct verdicts *ret)
{
	static const char *const how[] = {
		[CONTEXT_UCONTEXT] = "a saved context",
		[CONTEXT_JUMP] = "a jump buffer",
		[CONTEXT_SWITCH] = "a pointer to saved registers",
	};
	struct obstacle o = {
		.tid = h->process->pid, .hidden = true, .unjudged = s->unjudged};

	snprintf(o.comm, sizeof(o.comm), "%s", h->process->comm);
	snprintf(o.func, sizeof(o.func), "%s", s->func);
	snprintf(
		o.reason, sizeof(o.reason),
		"%s at 0x%lx leads back into %s on a stack at 0x%lx in %s that no thread "
		"is on: %s",
		how[c->kind], c->at, *s->func ? s->func : "code without a symbol",
		(unsigned long)regs->rsp, place(h, regs->rsp), s->reason);
	return obstacle_add(ret, &o, &h->frames);
}

// Words of this stack that were met as return addresses are explained by it, dead ones beside it too.
static void explain_loose(struct hidden *h, const struct context *c,
			  const struct user_regs_struct *regs)
{
	taddr_t hi = regs->rsp;

	vec_for_each(fr, &h->frames.v)
		if (fr->cfa > hi)
			hi = fr->cfa;
	vec_for_each(l, &h->loose)
		if (l->slot == c->at ||
		    (l->slot < hi && l->slot + AROUND_STACK >= regs->rsp))
			l->explained = true;
}

// A mere pointer makes a stack only if frames follow one another to the end, or for long enough.
static bool is_stack(const struct hidden *h)
{
	const struct frames *f = &h->frames;

	if (f->complete)
		return true;
	for (size_t i = 1; i < f->v.n; i++)
		if (!hidden_after_call(h, f->v.v[i].pc))
			return i > LOOSE_FRAMES;
	return f->v.n > LOOSE_FRAMES;
}

static struct err *judge_context(struct hidden *h, const struct context *c,
				 struct verdicts *ret)
{
	struct user_regs_struct regs;

	if (!hidden_registers(h, c, &regs))
		return NULL;
	TRY(unwind_thread(h->j->u, &regs, &h->frames));
	if (c->kind == CONTEXT_SWITCH && !is_stack(h))
		return NULL;
	enum fate fate = fate_of(h, c, &regs);
	if (fate == FATE_STALE) {
		explain_loose(h, c, &regs);
		return NULL;
	}
	h->has |= fate == FATE_HIDDEN;
	size_t n = fate == FATE_HIDDEN ? h->frames.v.n : 1;
	for (size_t i = 0; i < n && i < h->frames.v.n; i++) {
		const struct frame *fr = &h->frames.v.v[i];
		struct stay s;

		// The saved pc is a return address too.
		TRY(judge_stays(h->j, fr->pc, i && fr->exact, &s));
		if (s.may)
			continue;
		explain_loose(h, c, &regs);
		return add_obstacle(h, c, &regs, &s, ret);
	}
	explain_loose(h, c, &regs);
	return NULL;
}

struct err *hidden_search(struct hidden *h)
{
	TRY(hidden_find(h, false, UINT64_MAX));
	h->searched = true;
	return NULL;
}

// In the stop. Where memory was too much to be searched again, what was found before is looked at as it is now.
static struct err *find_again(struct hidden *h)
{
	size_t n = h->contexts.n;
	_cleanup_free_ struct context *before = malloc((n + 1) * sizeof(*before));

	if (!before)
		return err_nomem();
	if (n)
		memcpy(before, h->contexts.v, n * sizeof(*before));
	TRY(hidden_find(h, true, IN_STOP_MAX));
	for (size_t i = 0; i < n && !h->complete; i++)
		TRY(vec_push(&h->contexts, before[i]));
	if (h->complete || h->told)
		return NULL;
	h->told = true;
	return plan_note(
		h->j->units.v[0].p,
		"the process has more memory than could be searched while it "
		"stood still: a coroutine that began to rest just before the stop "
		"may have been missed");
}

struct err *hidden_judge(struct hidden *h, bool stopped, struct verdicts *ret)
{
	if (!h->searched)
		return NULL;
	if (stopped && (h->has || h->may_have)) {
		TRY(find_again(h));
		h->has = false;
	}
	vec_for_each(c, &h->contexts)
		TRY(judge_context(h, c, ret));
	return NULL;
}

struct err *hidden_notes(struct hidden *h)
{
	size_t n = 0;

	vec_for_each(l, &h->loose) {
		struct stay s;

		if (l->explained || n++ >= NOTES_MAX)
			continue;
		TRY(judge_stays(h->j, l->pc, false, &s));
		TRY(plan_note(h->j->units.v[0].p,
			      "the word at 0x%lx in %s looks like a return address in "
			      "%s, which changed; no saved context leads there, so it "
			      "is taken for a stale one",
			      l->slot, place(h, l->slot), s.func));
	}
	if (n > NOTES_MAX)
		TRY(plan_note(h->j->units.v[0].p, "%zu more such words", n - NOTES_MAX));
	return NULL;
}
