// SPDX-License-Identifier: LGPL-2.1-or-later
// Equal code decides nothing when a differing check chose it: nothing that is live at a place may have been
// written between such a check and the place.
#include <stdlib.h>
#include <string.h>

#include "diff/flow_internal.h"
#include "util/cleanup.h"

static bool writes_live(const struct flow *f, const struct facts *x,
			const struct locs *need)
{
	if ((x->kill | x->part) & need->regs & LOC_ALL)
		return true;
	for (unsigned i = 0; i < x->nmem; i++) {
		struct locs touched = access_slots(f, &x->mem[i], false);

		for (unsigned k = 0; x->mem[i].write && k < SLOT_WORDS; k++)
			if (touched.slots[k] & need->slots[k])
				return true;
	}
	return false;
}

// Whether the address that a lea takes is kept in the frame, in a register that survives calls or in
// memory, rather than handed to the next call.
static bool is_kept(const struct graph *g, uint32_t lea)
{
	enum { NEAR = 8 };
	uint64_t reg = g->facts[lea].kill & ~LOC(LOC_FLAGS);

	if (reg & LOC_CALLEE_SAVED)
		return true;
	for (uint32_t i = lea + 1; i < g->n && i <= lea + NEAR; i++) {
		const struct facts *x = &g->facts[i];

		if (g->b->insns.v[i].flags & INSN_CALL)
			return false;
		if (x->use & reg) {
			if (x->kill & LOC_CALLEE_SAVED)
				return true;
			for (unsigned k = 0; k < x->nmem; k++)
				if (x->mem[k].write)
					return true;
		}
		if (x->kill & reg)
			return false;
	}
	return true;
}

static bool takes_address(const struct facts *x, int32_t *offset)
{
	for (unsigned k = 0; k < x->nmem; k++) {
		if (!x->mem[k].on_stack || !(x->mem[k].lea || x->mem[k].indexed))
			continue;
		*offset = x->mem[k].offset;
		return true;
	}
	return false;
}

// Objects of the frame that are looked at behind the place, as far as their addresses tell.
static struct err *add_objects(const struct flow *f, const struct place *at,
			       struct locs *need)
{
	const struct graph *g = f->new;
	_cleanup_free_ bool *ahead = calloc((size_t)g->n + 1, 1);

	if (!ahead)
		return err_nomem();
	TRY(graph_forward(g, at->n, NO_TWIN, ahead));
	for (uint32_t i = 0; i < g->n; i++) {
		struct locs whole = {0};
		int32_t offset;

		if (!takes_address(&g->facts[i], &offset) ||
		    (!ahead[i] && !(g->facts[i].mem[0].lea && is_kept(g, i))))
			continue;
		slot_map_range(&f->slots, offset, flow_object_end(f, offset) - offset,
			       &whole, need);
	}
	return NULL;
}

struct err *flow_differing_choice(const struct flow *f, const struct place *at,
				  bool in_new, uint32_t *ret)
{
	const struct graph *g = in_new ? f->new : f->old;
	uint32_t to = in_new ? at->n : at->o;
	struct locs need = at->behind ? flow_live_behind(f->new, f->live_new, at->n)
				      : f->live_new[at->n];
	_cleanup_free_ bool *back = calloc((size_t)g->n + 1, 1);
	_cleanup_free_ bool *ahead = calloc((size_t)g->n + 1, 1);

	*ret = NO_TWIN;
	if (!back || !ahead)
		return err_nomem();
	if (at->behind) // what the call itself leaves is its doing
		need.regs &= ~(g->b->insns.v[to].flags & INSN_CALL ? LOC_CLOBBERED
								   : g->facts[to].kill);
	TRY(add_objects(f, at, &need));
	TRY(graph_backward(g, to, back));
	for (uint32_t b = 0; b < g->n; b++) {
		bool differs = in_new ? product_branch_differs(f->product, b)
				      : f->new_of[b] == NO_TWIN && graph_decides(g, b);

		if (!differs || !back[b])
			continue;
		memset(ahead, 0, g->n);
		TRY(graph_forward(g, b, to, ahead));
		for (uint32_t i = 0; i < g->n; i++) {
			if (ahead[i] && back[i] && writes_live(f, &g->facts[i], &need)) {
				*ret = b;
				return NULL;
			}
		}
	}
	return NULL;
}
