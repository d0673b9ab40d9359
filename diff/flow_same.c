// SPDX-License-Identifier: LGPL-2.1-or-later
// Is everything that a frame can still reach identical? Both graphs are walked in lockstep.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "diff/flow_internal.h"
#include "util/cleanup.h"

struct lockstep {
	const struct flow *f;
	uint32_t *partner; // of each new instruction, NO_TWIN when not reached
	uint32_t *work;
	uint32_t n;
	bool differ;
	char *why;
	size_t size;
};

static void differ(struct lockstep *l, uint32_t n)
{
	if (!l->differ)
		snprintf(l->why, l->size, "0x%" PRIx64 " ahead of it differs",
			 l->f->new_fn->body.insns.v[n].addr);
	l->differ = true;
}

static void enqueue(struct lockstep *l, uint32_t n, uint32_t o)
{
	if (l->partner[n] == o)
		return;
	if (l->partner[n] != NO_TWIN || !flow_equal(l->f, n, o)) {
		differ(l, n);
		return;
	}
	l->partner[n] = o;
	l->work[l->n++] = n;
}

static struct err *walk(struct lockstep *l)
{
	const struct graph *new = l->f->new, *old = l->f->old;

	while (l->n && !l->differ) {
		uint32_t n = l->work[--l->n], o = l->partner[n];
		uint32_t count = new->succ_at[n + 1] - new->succ_at[n];

		if (count != old->succ_at[o + 1] - old->succ_at[o]) {
			differ(l, n);
			break;
		}
		for (uint32_t k = 0; k < count; k++)
			enqueue(l, new->succ[new->succ_at[n] + k],
				old->succ[old->succ_at[o] + k]);
	}
	return NULL;
}

struct err *flow_rest_equal(const struct flow *f, uint32_t n, uint32_t o, bool *ret,
			    char *why, size_t size)
{
	_cleanup_free_ uint32_t *partner =
		malloc(((size_t)f->new->n + 1) * sizeof(*partner));
	_cleanup_free_ uint32_t *work = malloc(((size_t)f->new->n + 1) * sizeof(*work));
	struct lockstep l = {
		.f = f, .partner = partner, .work = work, .why = why, .size = size};

	if (!partner || !work)
		return err_nomem();
	for (uint32_t i = 0; i < f->new->n; i++)
		partner[i] = NO_TWIN;
	enqueue(&l, n, o);
	TRY(walk(&l));
	*ret = !l.differ;
	return NULL;
}
