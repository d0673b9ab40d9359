// SPDX-License-Identifier: LGPL-2.1-or-later
// Pairs functions without names: equal masked code, then the call graph, then neighbours.
#include <stdlib.h>
#include <string.h>

#include "diff/decode.h"
#include "diff/match.h"
#include "diff/private.h"
#include "util/cleanup.h"

enum { MIN_SHAPE = 4 };

struct shape {
	struct diff *d;
	struct side *old, *new;
	float *confidence;  // by new function
	VEC(uint32_t) work; // new functions whose calls are to be followed
};

static struct err *pair(struct shape *s, uint32_t o, uint32_t n, float confidence)
{
	if (s->old->pair_of_func[o] != NO_TWIN || s->new->pair_of_func[n] != NO_TWIN)
		return NULL;
	s->old->pair_of_func[o] = n;
	s->new->pair_of_func[n] = o;
	s->confidence[n] = confidence;
	return vec_push(&s->work, n);
}

static struct err *shape_items(const struct side *s, bool with_names, item_list *ret)
{
	ret->n = 0;
	for (uint32_t i = 0; i < s->n_funcs; i++) {
		const struct body *b = &s->funcs[i].body;

		if (s->pair_of_func[i] == NO_TWIN && b->insns.n >= MIN_SHAPE)
			TRY(vec_push(ret, (struct item){body_shape(s, b, with_names), i}));
	}
	return NULL;
}

static struct err *by_hash(struct shape *s, bool with_names, float confidence)
{
	item_list old = {0}, new = {0};
	_cleanup_free_ uint32_t *before = malloc((s->new->n_funcs + 1) * sizeof(*before));
	struct err *e = before ? NULL : err_nomem();

	if (!e)
		e = shape_items(s->old, with_names, &old);
	if (!e)
		e = shape_items(s->new, with_names, &new);
	if (!e) {
		memcpy(before, s->new->pair_of_func, s->new->n_funcs * sizeof(*before));
		match_items(&old, &new, MATCH_UNIQUE, s->old->pair_of_func,
			    s->new->pair_of_func);
	}
	for (uint32_t i = 0; !e && i < s->new->n_funcs; i++) {
		if (before[i] == s->new->pair_of_func[i])
			continue;
		s->confidence[i] = confidence;
		e = vec_push(&s->work, i);
	}
	vec_free(&old);
	vec_free(&new);
	return e;
}

static int by_hash_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static uint64_t *sorted_hashes(const struct body *b)
{
	uint64_t *h = malloc((b->insns.n + 1) * sizeof(*h));

	for (size_t i = 0; h && i < b->insns.n; i++)
		h[i] = b->insns.v[i].hash_noimm;
	if (h)
		qsort(h, b->insns.n, sizeof(*h), by_hash_value);
	return h;
}

// Share of instructions that both have, 0 to 1.
static float likeness(const struct body *a, const struct body *b)
{
	size_t common = 0, i = 0, k = 0;
	size_t most = a->insns.n > b->insns.n ? a->insns.n : b->insns.n;

	if (!most || a->insns.n > b->insns.n * 3 || b->insns.n > a->insns.n * 3)
		return 0;
	_cleanup_free_ uint64_t *x = sorted_hashes(a), *y = sorted_hashes(b);
	while (x && y && i < a->insns.n && k < b->insns.n) {
		if (x[i] == y[k]) {
			common++;
			i++;
			k++;
		} else if (x[i] < y[k]) {
			i++;
		} else {
			k++;
		}
	}
	return (float)common / (float)most;
}

static struct err *try_pair(struct shape *s, uint32_t o, uint32_t n, float least,
			    float factor)
{
	float l;

	if (o == NO_TWIN || n == NO_TWIN || s->old->pair_of_func[o] != NO_TWIN ||
	    s->new->pair_of_func[n] != NO_TWIN)
		return NULL;
	l = likeness(&s->old->funcs[o].body, &s->new->funcs[n].body);
	return l < least ? NULL : pair(s, o, n, factor * l);
}

static struct err *follow_calls(struct shape *s, uint32_t n)
{
	const struct body *bn = &s->new->funcs[n].body;
	const struct body *bo = &s->old->funcs[s->new->pair_of_func[n]].body;
	_cleanup_free_ uint32_t *near = malloc((bn->insns.n + 1) * sizeof(*near));

	if (!near)
		return err_nomem();
	TRY(align_bodies(bo, bn, near));
	for (size_t i = 0; i < bn->insns.n; i++) {
		const struct insn *a, *b = &bn->insns.v[i];

		if (near[i] == NO_TWIN || b->ref != REF_CODE)
			continue;
		a = &bo->insns.v[near[i]];
		if (a->ref == REF_CODE)
			TRY(try_pair(s, side_func_at(s->old, a->target),
				     side_func_at(s->new, b->target), 0.3f, 0.95f));
	}
	return NULL;
}

static struct err *drain(struct shape *s)
{
	while (s->work.n) {
		uint32_t n = s->work.v[--s->work.n];

		TRY(follow_calls(s, n));
	}
	return NULL;
}

// Between two pairs that stand next to each other in both programs: the same number left over.
static struct err *neighbours(struct shape *s)
{
	uint32_t last_o = 0, last_n = 0;

	for (uint32_t n = 0; n <= s->new->n_funcs; n++) {
		uint32_t o = n < s->new->n_funcs ? s->new->pair_of_func[n]
						 : (uint32_t)s->old->n_funcs;

		if (o == NO_TWIN)
			continue;
		if (o >= last_o && o - last_o == n - last_n) {
			for (uint32_t k = 0; k < n - last_n; k++)
				TRY(try_pair(s, last_o + k, last_n + k, 0.25f, 0.8f));
		}
		last_o = o + 1;
		last_n = n + 1;
	}
	return NULL;
}

static size_t count_pairs(const struct side *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_funcs; i++)
		n += s->pair_of_func[i] != NO_TWIN;
	return n;
}

static struct err *run(struct shape *s)
{
	size_t before;

	TRY(by_hash(s, true, 1.0f));
	TRY(drain(s));
	TRY(by_hash(s, false, 0.95f));
	do {
		before = count_pairs(s->new);
		TRY(drain(s));
		TRY(neighbours(s));
		TRY(by_hash(s, true, 0.9f));
		TRY(by_hash(s, false, 0.85f));
	} while (count_pairs(s->new) != before);
	return NULL;
}

struct err *pair_functions_by_shape(struct diff *d, float *confidence)
{
	struct shape s = {.d = d,
			  .old = &d->index->old,
			  .new = &d->index->new,
			  .confidence = confidence};
	struct err *e = NULL;

	// What is exported has a name all the same.
	for (uint32_t i = 0; !e && i < s.new->n_funcs; i++) {
		if (s.new->pair_of_func[i] != NO_TWIN)
			e = vec_push(&s.work, i);
	}
	if (!e)
		e = run(&s);
	vec_free(&s.work);
	return e;
}
