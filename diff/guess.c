// SPDX-License-Identifier: LGPL-2.1-or-later
// Without symbols for variables: which old address stands for which new one, by a vote of all
// instructions of functions that have the same shape.
#include "diff/guess.h"

#include <stdlib.h>

static int by_pair(const void *a, const void *b)
{
	const struct vote *x = a, *y = b;

	if (x->old != y->old)
		return x->old < y->old ? -1 : 1;
	return x->new < y->new ? -1 : x->new > y->new;
}

static int by_reverse(const void *a, const void *b)
{
	const struct vote *x = a, *y = b;

	if (x->new != y->new)
		return x->new < y->new ? -1 : 1;
	return x->old < y->old ? -1 : x->old > y->old;
}

static struct err *vote_pair(struct guesses *g, const struct body *o, const struct body *n)
{
	if (o->insns.n != n->insns.n)
		return NULL;
	for (size_t i = 0; i < n->insns.n; i++) {
		if (o->insns.v[i].hash_noimm != n->insns.v[i].hash_noimm)
			return NULL;
	}
	for (size_t i = 0; i < n->insns.n; i++) {
		const struct insn *a = &o->insns.v[i], *b = &n->insns.v[i];

		if (a->ref == REF_DATA && b->ref == REF_DATA)
			TRY(vec_push(&g->forward, (struct vote){a->target, b->target, 1}));
	}
	return NULL;
}

// One entry for each pair of addresses, then the best of each left address.
static void elect(struct vote *v, size_t *n, bool reverse)
{
	size_t kept = 0;

	if (*n)
		qsort(v, *n, sizeof(*v), reverse ? by_reverse : by_pair);
	for (size_t i = 0; i < *n; i++) {
		if (kept && v[kept - 1].old == v[i].old && v[kept - 1].new == v[i].new)
			v[kept - 1].count += v[i].count;
		else
			v[kept++] = v[i];
	}
	*n = kept;
}

static void keep_best(struct vote *v, size_t *n, bool reverse)
{
	size_t kept = 0;

	for (size_t i = 0; i < *n; i++) {
		bool same = kept && (reverse ? v[kept - 1].new == v[i].new
					     : v[kept - 1].old == v[i].old);

		if (!same)
			v[kept++] = v[i];
		else if (v[i].count > v[kept - 1].count)
			v[kept - 1] = v[i];
	}
	*n = kept;
}

struct err *guesses_make(struct guesses *g, const struct side *old, const struct side *new)
{
	for (uint32_t i = 0; i < new->n_funcs; i++) {
		uint32_t o = new->pair_of_func[i];

		if (o != NO_TWIN)
			TRY(vote_pair(g, &old->funcs[o].body, &new->funcs[i].body));
	}
	elect(g->forward.v, &g->forward.n, false);
	TRY(vec_reserve(&g->backward, g->forward.n));
	for (size_t i = 0; i < g->forward.n; i++)
		g->backward.v[g->backward.n++] = g->forward.v[i];
	elect(g->backward.v, &g->backward.n, true);
	keep_best(g->forward.v, &g->forward.n, false);
	keep_best(g->backward.v, &g->backward.n, true);
	return NULL;
}

static bool holds(const struct vote *v, size_t n, vaddr_t old, vaddr_t new, bool reverse)
{
	size_t low = 0, high = n;
	vaddr_t key = reverse ? new : old;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		vaddr_t at = reverse ? v[mid].new : v[mid].old;

		if (at < key)
			low = mid + 1;
		else
			high = mid;
	}
	return low < n && v[low].old == old && v[low].new == new;
}

bool guesses_hold(const struct guesses *g, vaddr_t old, vaddr_t new)
{
	return holds(g->forward.v, g->forward.n, old, new, false) &&
	       holds(g->backward.v, g->backward.n, old, new, true);
}

void guesses_deinit(struct guesses *g)
{
	vec_free(&g->forward);
	vec_free(&g->backward);
}
