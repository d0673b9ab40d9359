// SPDX-License-Identifier: LGPL-2.1-or-later
// The walk over the product of both graphs: at each pair of places, which registers and words of the
// frame hold what the new code would have put there?
//
// A pair of equal instructions moves both graphs on; an inserted one only the new graph, a deleted one
// only the old. What an equal instruction makes from equal inputs is equal; all that inserted, deleted or
// changed ones write is not. Memory other than the frame counts as history: it is what it is.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diff/flow_product.h"
#include "util/cleanup.h"

static uint32_t *find_slot(const struct product *p, uint32_t n, uint32_t o)
{
	uint64_t key = ((uint64_t)n << 32 | o) * 0x9e3779b97f4a7c15ULL;
	size_t i = (size_t)(key >> 32) & (p->nslots - 1);

	while (p->slots[i]) {
		const struct node *x = &p->nodes.v[p->slots[i] - 1];

		if (x->n == n && x->o == o)
			break;
		i = (i + 1) & (p->nslots - 1);
	}
	return &p->slots[i];
}

static struct err *arrive(struct product *p, uint32_t n, uint32_t o,
			  const struct locs *equal)
{
	uint32_t *slot = find_slot(p, n, o), index;
	struct node *x;
	struct locs before;

	if (!*slot) {
		if (p->nodes.n == p->limit) {
			snprintf(p->unprovable, sizeof(p->unprovable), "too much differs");
			return NULL;
		}
		TRY(vec_push(&p->nodes, (struct node){.n = n, .o = o, .equal = *equal}));
		*slot = (uint32_t)p->nodes.n;
		x = &p->nodes.v[*slot - 1];
	} else {
		x = &p->nodes.v[*slot - 1];
		before = x->equal;
		x->equal.regs &= equal->regs;
		for (unsigned i = 0; i < SLOT_WORDS; i++)
			x->equal.slots[i] &= equal->slots[i];
		if (!memcmp(&before, &x->equal, sizeof(before)))
			return NULL;
	}
	if (x->queued)
		return NULL;
	x->queued = true;
	index = *slot - 1;
	return vec_push(&p->work, index);
}

static const struct graph *product_side(const struct product *p, bool in_new)
{
	return in_new ? p->f->new : p->f->old;
}

// The ways part, and nobody knows which place of one belongs to which of the other until twins are met
// again. What none of the code ahead writes stays as it is.
static struct err *diverge(struct product *p, uint32_t n, uint32_t o, struct locs at)
{
	enum { DIVERGE_MAX = 2000 };
	const struct flow *f = p->f;
	_cleanup_free_ bool *new = calloc((size_t)f->new->n + 1, 1);
	_cleanup_free_ bool *old = calloc((size_t)f->old->n + 1, 1);

	if (!new || !old)
		return err_nomem();
	if (p->diverged++ == DIVERGE_MAX)
		snprintf(p->unprovable, sizeof(p->unprovable), "too much differs");
	TRY(graph_forward(f->new, n, NO_TWIN, new));
	TRY(graph_forward(f->old, o, NO_TWIN, old));
	product_forget_written(p, &at, new, true);
	product_forget_written(p, &at, old, false);
	for (uint32_t i = 0; i < f->new->n; i++) {
		uint32_t twin = new[i] ? flow_near(f, i) : NO_TWIN;

		p->new_diverged[i] |= new[i];
		if (twin != NO_TWIN && old[twin])
			TRY(arrive(p, i, twin, &at));
	}
	for (uint32_t i = 0; i < f->old->n; i++)
		p->old_diverged[i] |= old[i];
	return NULL;
}

// One side goes on, the other stays.
static struct err *go_alone(struct product *p, const struct node *x, bool in_new,
			    struct locs at)
{
	const struct graph *g = product_side(p, in_new);
	uint32_t i = in_new ? x->n : x->o, n = x->n, o = x->o;

	for (uint32_t k = g->succ_at[i]; k < g->succ_at[i + 1]; k++) {
		uint32_t to = g->succ[k];

		TRY(arrive(p, in_new ? to : n, in_new ? o : to, &at));
	}
	return NULL;
}

static struct err *go_together(struct product *p, const struct node *x, struct locs at)
{
	const struct graph *new = p->f->new, *old = p->f->old;
	uint32_t n = x->n, o = x->o, count = new->succ_at[n + 1] - new->succ_at[n];

	if (count != old->succ_at[o + 1] - old->succ_at[o])
		return diverge(p, n, o, at);
	for (uint32_t k = 0; k < count; k++)
		TRY(arrive(p, new->succ[new->succ_at[n] + k],
			   old->succ[old->succ_at[o] + k], &at));
	return NULL;
}

static struct err *visit(struct product *p, uint32_t index)
{
	struct node x = p->nodes.v[index];
	enum pair_kind kind = pair_kind_of(p->f, x.n, x.o);
	struct locs at = product_transfer(p, &x, kind);

	p->nodes.v[index].queued = false;
	if (p->stop && p->stop->n == x.n && p->stop->o == x.o)
		return NULL;
	switch (kind) {
	case PAIR_EQUAL:
	case PAIR_CHANGED:
		return go_together(p, &x, at);
	case PAIR_INSERTED:
		return go_alone(p, &x, true, at);
	case PAIR_DELETED:
		return go_alone(p, &x, false, at);
	case PAIR_DIVERGED:
		break;
	}
	return diverge(p, x.n, x.o, at);
}

static void mark_branches(struct product *p)
{
	vec_for_each(x, &p->nodes) {
		enum pair_kind kind = pair_kind_of(p->f, x->n, x->o);

		if (kind == PAIR_DELETED || !graph_decides(p->f->new, x->n))
			continue;
		if (kind != PAIR_EQUAL || !product_inputs_equal(p, &x->equal, x->n))
			p->branch_differs[x->n] = true;
	}
}

static struct err *product_init(struct product *p)
{
	uint32_t new = p->f->new->n, old = p->f->old->n;

	p->limit = 3 * ((size_t) new + old) + 1000;
	for (p->nslots = 1024; p->nslots < 2 * p->limit;)
		p->nslots *= 2;
	p->slots = calloc(p->nslots, sizeof(*p->slots));
	p->new_diverged = calloc((size_t) new + 1, 1);
	p->branch_differs = calloc((size_t) new + 1, 1);
	p->old_diverged = calloc((size_t)old + 1, 1);
	if (!p->slots || !p->new_diverged || !p->branch_differs || !p->old_diverged)
		return err_nomem();
	return NULL;
}

struct err *product_walk(const struct flow *f, const struct place *stop,
			 struct product **ret)
{
	struct product *p = calloc(1, sizeof(*p));
	struct locs all;

	if (!p)
		return err_nomem();
	*ret = p; // freed with the flow, whatever happens here
	p->f = f;
	p->stop = stop;
	TRY(product_init(p));
	memset(&all, 0xff, sizeof(all));
	TRY(arrive(p, 0, 0, &all));
	while (p->work.n && !p->unprovable[0])
		TRY(visit(p, p->work.v[--p->work.n]));
	mark_branches(p);
	return NULL;
}

void product_free(struct product *p)
{
	if (!p)
		return;
	vec_free(&p->nodes);
	vec_free(&p->work);
	free(p->slots);
	free(p->new_diverged);
	free(p->old_diverged);
	free(p->branch_differs);
	free(p);
}

bool product_before(const struct product *p, uint32_t n, uint32_t o, struct locs *ret)
{
	uint32_t slot = *find_slot(p, n, o);

	if (slot)
		*ret = p->nodes.v[slot - 1].equal;
	return slot != 0;
}

bool product_behind(struct product *p, uint32_t n, uint32_t o, struct locs *ret)
{
	uint32_t slot = *find_slot(p, n, o);
	enum pair_kind kind = pair_kind_of(p->f, n, o);

	if (!slot)
		return false;
	*ret = product_transfer(p, &p->nodes.v[slot - 1], kind);
	// What the call in progress gives back is history, whatever it was called with.
	if (kind == PAIR_EQUAL)
		ret->regs |= LOC_RESULTS;
	return true;
}

bool product_diverged(const struct product *p, uint32_t n, uint32_t o)
{
	return p->new_diverged[n] || p->old_diverged[o];
}

bool product_branch_differs(const struct product *p, uint32_t n)
{
	return p->branch_differs[n];
}

struct culprit product_culprit(const struct product *p, unsigned loc)
{
	return p->culprits[loc];
}

const char *product_unprovable(const struct product *p)
{
	return p->unprovable[0] ? p->unprovable : NULL;
}
