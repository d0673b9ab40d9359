// SPDX-License-Identifier: LGPL-2.1-or-later
// May a function go on in its old body while all that it calls is new (--keep-old)?
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "diff/flow_internal.h"
#include "util/cleanup.h"

static bool func_changed(const struct diff *d, uint32_t func)
{
	const struct func_pair *pair = diff_pair_of_old(d, func);

	return !pair || pair->new == NO_TWIN || pair->verdict != FUNC_SAME;
}

struct reached { // functions of OLD, in the order they were found
	VEC(uint32_t) v;
	bool *seen;
};

static struct err *reach(struct reached *r, uint32_t func)
{
	if (func == NO_TWIN || r->seen[func])
		return NULL;
	r->seen[func] = true;
	return vec_push(&r->v, func);
}

static struct err *reach_all(const struct diff *d, struct reached *r, bool *changed)
{
	for (size_t k = 0; k < r->v.n; k++) {
		*changed = func_changed(d, r->v.v[k]);
		if (*changed)
			return NULL;
		vec_for_each(i, &d->old_funcs.v[r->v.v[k]].body.insns)
			if (i->ref == REF_CODE && !(i->flags & INSN_LEA))
				TRY(reach(r, diff_old_func_at(d, i->target)));
	}
	return NULL;
}

// Whether the callee changed, or something that it reaches by direct calls and jumps.
static struct err *callee_changed(const struct diff *d, const struct insn *i, bool *ret)
{
	struct reached r = {.seen = calloc(d->old_funcs.n + 1, sizeof(*r.seen))};
	uint32_t callee = diff_old_func_at(d, i->target);
	struct err *e = r.seen ? reach(&r, callee) : err_nomem();

	*ret = callee == NO_TWIN;
	if (!e)
		e = reach_all(d, &r, ret);
	*ret |= callee == NO_TWIN;
	vec_free(&r.v);
	free(r.seen);
	return e;
}

// Registers that may carry a result of this function: those it writes. (A caller that finds another value in
// rdx behind the call has put it there before.)
static struct err *result_registers(const struct diff *d, uint32_t callee, uint64_t *ret)
{
	_cleanup_(graph_freep) struct graph *g = NULL;

	*ret = LOC_RESULTS;
	if (callee == NO_TWIN)
		return NULL;
	TRY(graph_create(d->old, &d->old_funcs.v[callee].body, &g));
	uint64_t written = LOC(GPR_RAX);
	for (uint32_t k = 0; k < g->n; k++) {
		const struct insn *i = &g->b->insns.v[k];

		if ((i->flags & INSN_CALL) ||
		    ((i->flags & INSN_JUMP) && i->ref != REF_BRANCH))
			return NULL; // whatever that one gives back
		written |= g->facts[k].kill | g->facts[k].part;
	}
	*ret &= written;
	return NULL;
}

// The first call after which something lives in a register that the callee may clobber by the psABI: the old
// callee was known to leave it alone (gcc's -fipa-ra), of the new one nobody has said so.
static struct err *find_reliance(struct flow *f, const struct insn **ret)
{
	TRY(graph_create(f->d->old, &f->old_fn->body, &f->old));
	if (f->old->unprovable[0])
		return NULL;
	TRY(slot_map_collect(&f->slots, f->old));
	slot_map_finish(&f->slots);
	TRY(flow_liveness(f, f->old, true, &f->named_old));
	for (uint32_t k = 0; k < f->old->n; k++) {
		const struct insn *i = &f->old_fn->body.insns.v[k];
		bool changed = false;

		if (!(i->flags & INSN_CALL) || i->ref != REF_CODE)
			continue;
		struct locs live = flow_live_behind(f->old, f->named_old, k);
		uint64_t results;
		TRY(result_registers(f->d, diff_old_func_at(f->d, i->target), &results));
		if (!(live.regs & LOC_CLOBBERED & ~results))
			continue;
		TRY(callee_changed(f->d, i, &changed));
		if (changed) {
			*ret = i;
			return NULL;
		}
	}
	return NULL;
}

struct err *frame_keepable(const struct diff *d, uint32_t old_func, bool *ret, char *why,
			   size_t size)
{
	_cleanup_(flow_freep) struct flow *f = NULL;
	const struct insn *call = NULL;
	struct source_pos pos = {0};

	TRY(flow_create(d, old_func, &f));
	TRY(find_reliance(f, &call));
	if (f->old->unprovable[0])
		snprintf(why, size, "%s", f->old->unprovable);
	*ret = !call && !f->old->unprovable[0];
	if (!call)
		return NULL;
	dwarf_line(d->old, call->addr, &pos);
	snprintf(why, size,
		 "it expects a register to survive the call at 0x%" PRIx64 " (%s:%d)",
		 call->addr, pos.file ? pos.file : "?", pos.line);
	return NULL;
}
