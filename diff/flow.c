// SPDX-License-Identifier: LGPL-2.1-or-later
// May a frame of a changed function go on in the new body?
#include "diff/flow.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "diff/flow_internal.h"
#include "util/cleanup.h"

struct err *flow_create(const struct diff *d, uint32_t old_func, struct flow **ret)
{
	struct flow *f;

	if (old_func >= d->old_funcs.n)
		return err_new(ERR_INTERNAL, "no function has the number %u", old_func);
	f = calloc(1, sizeof(*f));
	if (!f)
		return err_nomem();
	f->d = d;
	f->old_func = old_func;
	f->pair = diff_pair_of_old(d, old_func);
	f->old_fn = &d->old_funcs.v[old_func];
	if (f->pair && f->pair->new != NO_TWIN)
		f->new_fn = &d->new_funcs.v[f->pair->new];
	*ret = f;
	return NULL;
}

void flow_free(struct flow *f)
{
	if (!f)
		return;
	product_free(f->product);
	graph_free(f->old);
	graph_free(f->new);
	vec_free(&f->slots.word);
	vec_free(&f->old_leas);
	vec_free(&f->new_leas);
	flow_forget_instructions(f);
	free(f->live_new);
	free(f->named_new);
	free(f->named_old);
	free(f);
}

void flow_freep(struct flow **f)
{
	flow_free(*f);
}

static int compare_offsets(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

	return x < y ? -1 : x > y;
}

// Where objects of the frame start whose address is used: by lea, or by an index.
static struct err *collect_leas(const struct graph *g, int32_t **v, size_t *n)
{
	VEC(int32_t) leas = {0};
	struct err *err = NULL;

	for (uint32_t i = 0; i < g->n && !err; i++)
		for (unsigned k = 0; k < g->facts[i].nmem && !err; k++)
			if (g->facts[i].mem[k].on_stack &&
			    (g->facts[i].mem[k].lea || g->facts[i].mem[k].indexed))
				err = vec_push(&leas, g->facts[i].mem[k].offset);
	if (leas.n)
		qsort(leas.v, leas.n, sizeof(*leas.v), compare_offsets);
	*v = leas.v;
	*n = leas.n;
	return err;
}

// Why nothing can be said of frames of the function, NULL if something can.
static const char *unprovable(const struct flow *f)
{
	if (f->old->unprovable[0])
		return f->old->unprovable;
	return f->new->unprovable[0] ? f->new->unprovable : NULL;
}

// Graphs, liveness and the product walk, once for each function.
static struct err *prepare(struct flow *f)
{
	if (!f->old)
		TRY(graph_create(f->d->old, &f->old_fn->body, &f->old));
	if (!f->new)
		TRY(graph_create(f->d->new, &f->new_fn->body, &f->new));
	// A graph that is not known may be empty, whatever the body has.
	if (f->product || unprovable(f))
		return NULL;
	TRY(flow_pair_instructions(f));
	TRY(collect_leas(f->old, &f->old_leas.v, &f->old_leas.n));
	TRY(collect_leas(f->new, &f->new_leas.v, &f->new_leas.n));
	TRY(slot_map_collect(&f->slots, f->old));
	TRY(slot_map_collect(&f->slots, f->new));
	slot_map_finish(&f->slots);
	TRY(flow_liveness(f, f->new, false, &f->live_new));
	TRY(flow_liveness(f, f->new, true, &f->named_new));
	TRY(flow_liveness(f, f->old, true, &f->named_old));
	f->parameters_equal = flow_parameters_equal(f);
	return product_walk(f, NULL, &f->product);
}

static void wait_for(struct frame_judgement *ret, const char *why)
{
	ret->verdict = FRAME_WAIT;
	snprintf(ret->reason, sizeof(ret->reason), "%s", why);
}

// The instruction at pc or, where only padding lies between, the next one.
static uint32_t index_at(const struct body *b, vaddr_t pc)
{
	uint32_t i = body_index(b, pc);

	if (i != UINT32_MAX)
		return i;
	vec_for_each(p, &b->parts) {
		for (i = p->first; i < p->first + p->n && pc - p->addr < p->size; i++) {
			const struct insn *insn = &b->insns.v[i];

			if (insn->addr >= pc)
				return i;
			if (insn->addr + insn->len > pc)
				return UINT32_MAX;
		}
	}
	return UINT32_MAX;
}

// The new instruction that equals an old one.
static uint32_t twin_of_old(const struct flow *f, uint32_t o)
{
	uint32_t n;

	if (f->pair->verdict == FUNC_SAME)
		return o < f->new_fn->body.insns.n ? o : NO_TWIN;
	n = o < f->old->n ? f->new_of[o] : NO_TWIN;
	return n != NO_TWIN && flow_equal(f, n, o) ? n : NO_TWIN;
}

// Finds the place; false with the reason when there is none.
static bool locate(const struct flow *f, vaddr_t pc, bool exact, struct place *at,
		   struct frame_judgement *ret)
{
	const struct body *old = &f->old_fn->body, *new = &f->new_fn->body;
	uint32_t ending = body_index_ending(old, pc);
	// In a system call the instruction behind it is next, but the kernel may repeat it.
	bool syscall = exact && ending != UINT32_MAX &&
		       (old->insns.v[ending].flags & INSN_SYSCALL);

	at->behind = !exact || syscall;
	at->o = at->behind ? ending : index_at(old, pc);
	if (at->o == UINT32_MAX) {
		wait_for(ret, "no instruction of the old program stands there");
		return false;
	}
	at->n = twin_of_old(f, at->o);
	if (at->n == NO_TWIN) {
		snprintf(ret->reason, sizeof(ret->reason),
			 "the %s at 0x%" PRIx64 " has no twin in the new program",
			 at->behind ? "call" : "instruction", old->insns.v[at->o].addr);
		return false;
	}
	at->old_pc = pc;
	at->new_pc =
		new->insns.v[at->n].addr + (at->behind ? new->insns.v[at->n].len : 0u);
	return true;
}

static bool inside(const struct body *b, vaddr_t pc)
{
	vec_for_each(p, &b->parts)
		if (pc >= p->addr && pc - p->addr < p->size)
			return true;
	return false;
}

static bool frame_rules_equal(const struct flow *f, const struct place *at,
			      cfi_equal_fn equal, void *arg)
{
	// Behind a call that never returns the function may end.
	bool ends = !inside(&f->old_fn->body, at->old_pc) &&
		    !inside(&f->new_fn->body, at->new_pc);

	if (at->behind && !equal(at->old_pc - 1, at->new_pc - 1, arg))
		return false;
	return (at->behind && ends) || equal(at->old_pc, at->new_pc, arg);
}

// Everything behind the place is the same: nothing was left to change.
static struct err *judge_rest(const struct flow *f, const struct place *at, bool *ret)
{
	char why[96];
	const struct graph *new = f->new, *old = f->old;
	uint32_t n = at->n, o = at->o;

	*ret = false;
	if (!at->behind)
		return flow_rest_equal(f, n, o, ret, why, sizeof(why));
	if (new->succ_at[n] == new->succ_at[n + 1] ||
	    old->succ_at[o] == old->succ_at[o + 1]) {
		*ret = new->succ_at[n] == new->succ_at[n + 1] &&
		       old->succ_at[o] == old->succ_at[o + 1];
		return NULL;
	}
	return flow_rest_equal(f, new->succ[new->succ_at[n]], old->succ[old->succ_at[o]],
			       ret, why, sizeof(why));
}

// With a frame pointer the CFA rules are equal whatever the frame's size; rsp itself must stand at the same
// distance from the CFA, for the epilogue and for what is addressed through it.
static bool stack_equal(const struct flow *f, const struct place *at)
{
	const struct facts *x = &f->new->facts[at->n], *y = &f->old->facts[at->o];

	return x->rsp != STACK_UNKNOWN && x->rsp == y->rsp && x->rbp == y->rbp;
}

static struct err *judge_changed(struct flow *f, const struct place *at,
				 struct frame_judgement *ret)
{
	char why[sizeof(ret->reason)];
	bool fine;

	if (!stack_equal(f, at)) {
		wait_for(ret, "its frame has another size in the new program");
		return NULL;
	}
	TRY(flow_state_equal(f, at, &fine, why, sizeof(why)));
	if (!fine) {
		wait_for(ret, why);
		return NULL;
	}
	TRY(judge_rest(f, at, &fine));
	if (fine) {
		ret->verdict = FRAME_NOTHING_LEFT;
		return NULL;
	}
	if (!f->parameters_equal) {
		wait_for(ret, "its parameters differ in the new program");
		return NULL;
	}
	TRY(flow_way_equal(f, at, &fine, why, sizeof(why)));
	if (fine)
		ret->verdict = FRAME_PREFIX;
	else
		wait_for(ret, why);
	return NULL;
}

struct err *flow_judge(struct flow *f, vaddr_t pc, bool exact, cfi_equal_fn cfi_equal,
		       void *arg, struct frame_judgement *ret)
{
	struct place at;

	*ret = (struct frame_judgement){.verdict = FRAME_WAIT};
	if (!f->new_fn) {
		wait_for(ret, "the function is gone in the new program");
		return NULL;
	}
	if (!f->asked_types) {
		f->changed_type = frame_changed_type(f->d, f->old_func);
		f->asked_types = true;
	}
	if (f->changed_type) {
		snprintf(ret->reason, sizeof(ret->reason),
			 "its frame holds %s, which has another layout",
			 f->changed_type->name);
		return NULL;
	}
	if (f->pair->verdict != FUNC_SAME) {
		TRY(prepare(f));
		if (unprovable(f)) {
			wait_for(ret, unprovable(f));
			return NULL;
		}
	}
	if (!locate(f, pc, exact, &at, ret))
		return NULL;
	if (f->pair->verdict == FUNC_SAME)
		ret->verdict = FRAME_SAME;
	else
		TRY(judge_changed(f, &at, ret));
	if (ret->verdict == FRAME_WAIT)
		return NULL;
	if (!frame_rules_equal(f, &at, cfi_equal, arg)) {
		wait_for(ret, "the frame is laid out differently in the new program");
		return NULL;
	}
	ret->new_pc = at.new_pc;
	return NULL;
}

struct err *frame_judge(const struct diff *d, uint32_t old_func, vaddr_t pc, bool exact,
			cfi_equal_fn cfi_equal, void *arg, struct frame_judgement *ret)
{
	_cleanup_(flow_freep) struct flow *f = NULL;

	TRY(flow_create(d, old_func, &f));
	return flow_judge(f, pc, exact, cfi_equal, arg, ret);
}

const char *frame_verdict_name(enum frame_verdict v)
{
	switch (v) {
	case FRAME_SAME:
		return "same";
	case FRAME_NOTHING_LEFT:
		return "nothing-left";
	case FRAME_PREFIX:
		return "prefix";
	case FRAME_WAIT:
		break;
	}
	return "wait";
}
