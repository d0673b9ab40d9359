// SPDX-License-Identifier: LGPL-2.1-or-later
// The verdict on a pair of functions, and which instructions of the two are twins.
#include <stdlib.h>
#include <string.h>

#include "diff/private.h"

static bool same_shape(const struct body *o, const struct body *n)
{
	if (o->insns.n != n->insns.n || o->parts.n != n->parts.n || o->undecodable ||
	    n->undecodable)
		return false;
	for (size_t i = 0; i < o->parts.n; i++) {
		if (o->parts.v[i].n != n->parts.v[i].n)
			return false;
	}
	for (size_t i = 0; i < o->insns.n; i++) {
		if (o->insns.v[i].hash_noimm != n->insns.v[i].hash_noimm ||
		    o->insns.v[i].target_index != n->insns.v[i].target_index)
			return false;
	}
	return true;
}

static const struct jump_table *table_of(const struct body *b, const struct insn *lea)
{
	vec_for_each(t, &b->tables) {
		if (t->lea == (uint32_t)(lea - b->insns.v))
			return t;
	}
	return NULL;
}

static bool index_maps(uint32_t o, uint32_t n, const uint32_t *near)
{
	return o == n || (o != UINT32_MAX && n != UINT32_MAX) ? near[n] == o : false;
}

// Bodies that were aligned have their own labels at other indices.
static bool aligned_equal(struct comparer *c, const struct func *of, const struct insn *o,
			  const struct func *nf, const struct insn *n,
			  const uint32_t *near)
{
	if (o->hash != n->hash)
		return false;
	if (o->ref == n->ref && o->target_index != UINT32_MAX &&
	    n->target_index != UINT32_MAX)
		return index_maps(o->target_index, n->target_index, near);
	if (o->ref == REF_TABLE && n->ref == REF_TABLE) {
		const struct jump_table *a = table_of(&of->body, o),
					*b = table_of(&nf->body, n);

		if (!a || !b || a->n != b->n)
			return false;
		for (uint32_t i = 0; i < a->n; i++) {
			if (!index_maps(of->body.table_targets.v[a->first + i],
					nf->body.table_targets.v[b->first + i], near))
				return false;
		}
		return true;
	}
	return refs_equal(c, of, o, nf, n);
}

static enum func_verdict verdict_of_shape(const struct func *of, const struct func *nf,
					  const struct func_pair *p, bool *any)
{
	bool imm = false, ref = false;

	for (size_t i = 0; i < nf->body.insns.n; i++) {
		if (p->twin[i] != NO_TWIN)
			continue;
		if (of->body.insns.v[i].hash != nf->body.insns.v[i].hash)
			imm = true;
		else
			ref = true;
	}
	*any = imm || ref;
	return ref ? FUNC_REF : FUNC_IMM;
}

static void explain_first(const struct comparer *c, struct func_pair *p,
			  const struct func *of, const struct func *nf)
{
	for (size_t i = 0; i < nf->body.insns.n; i++) {
		uint32_t near = p->near_twin[i];

		if (p->twin[i] != NO_TWIN)
			continue;
		const struct insn *o = near == NO_TWIN ? NULL : &of->body.insns.v[near];
		// A branch that leads past the first real change differs because of that one.
		if (o && o->ref == REF_BRANCH && p->verdict == FUNC_CODE)
			continue;
		p->reason = explain_difference(c, o, &nf->body.insns.v[i]);
		return;
	}
	if (p->verdict != FUNC_SAME)
		p->reason = strdup(of->body.undecodable || nf->body.undecodable
					   ? "part of it is no code"
					   : "instructions were left out");
}

struct err *compare_pair(struct comparer *c, struct func_pair *p)
{
	const struct func *of = &c->old->funcs[p->old], *nf = &c->new->funcs[p->new];
	size_t n = nf->body.insns.n;
	bool shape = same_shape(&of->body, &nf->body), differs = !shape;

	p->twin = malloc((n + 1) * sizeof(*p->twin));
	p->near_twin = malloc((n + 1) * sizeof(*p->near_twin));
	if (!p->twin || !p->near_twin)
		return err_nomem();
	if (shape) {
		for (uint32_t i = 0; i < n; i++)
			p->near_twin[i] = i;
	} else {
		TRY(align_bodies(&of->body, &nf->body, p->near_twin));
	}
	for (size_t i = 0; i < n; i++) {
		uint32_t near = p->near_twin[i];
		bool equal = near != NO_TWIN &&
			     aligned_equal(c, of, &of->body.insns.v[near], nf,
					   &nf->body.insns.v[i], p->near_twin);

		p->twin[i] = equal ? near : NO_TWIN;
	}
	p->verdict = shape ? verdict_of_shape(of, nf, p, &differs) : FUNC_CODE;
	if (!differs) {
		p->verdict = FUNC_SAME;
		free(p->near_twin);
		p->near_twin = NULL;
		return NULL;
	}
	explain_first(c, p, of, nf);
	return NULL;
}
