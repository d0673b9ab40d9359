// SPDX-License-Identifier: LGPL-2.1-or-later
// Which instructions of the two bodies stand for each other. The comparison of programs aligns bodies by
// their instructions alone; where a call was inserted beside another, who is called must decide.
#include <stdlib.h>
#include <string.h>

#include "diff/flow_internal.h"
#include "diff/private.h"
#include "util/cleanup.h"

static uint64_t mix(uint64_t h, uint64_t v)
{
	return (h ^ v) * 0x9e3779b97f4a7c15ULL;
}

static uint64_t name_id(const struct reloc *r)
{
	uint64_t h = 1;

	for (const char *p = r && r->name ? r->name : ""; *p; p++)
		h = mix(h, (uint8_t)*p);
	return h;
}

// The same number in both programs for the same callee.
static uint64_t callee_id(const struct diff *d, bool in_new, const struct insn *i)
{
	const struct module *m = in_new ? d->new : d->old;
	vaddr_t slot = i->target;
	uint32_t func;

	if (i->ref == REF_PLT && !plt_entry_slot(m, i->target, &slot))
		return 0;
	if (i->ref == REF_PLT || i->ref == REF_GOT)
		return name_id(module_reloc_at(m, slot));
	if (i->ref != REF_CODE)
		return 0;
	func = in_new ? diff_new_func_at(d, i->target) : diff_old_func_at(d, i->target);
	if (func == NO_TWIN)
		return 0;
	if (in_new) {
		const struct func_pair *pair = diff_pair_of_new(d, func);

		if (!pair || pair->old == NO_TWIN)
			return mix(2, func);
		func = pair->old;
	}
	return mix(3, func);
}

// A copy of the instructions whose hashes tell callees apart.
static struct insn *with_callees(const struct diff *d, bool in_new, const struct body *b)
{
	struct insn *copy = malloc((b->insns.n + 1) * sizeof(*copy));

	if (!copy)
		return NULL;
	memcpy(copy, b->insns.v, b->insns.n * sizeof(*copy));
	for (size_t i = 0; i < b->insns.n; i++)
		if (copy[i].flags & (INSN_CALL | INSN_JUMP))
			copy[i].hash_noimm =
				mix(copy[i].hash_noimm, callee_id(d, in_new, &copy[i]));
	return copy;
}

static struct err *align(struct flow *f)
{
	struct body old = f->old_fn->body,
		    new = f->new_fn->body; // their lists are not owned
	_cleanup_free_ struct insn *x = with_callees(f->d, false, &old);
	_cleanup_free_ struct insn *y = with_callees(f->d, true, &new);

	if (!x || !y)
		return err_nomem();
	old.insns.v = x;
	new.insns.v = y;
	return align_bodies(&old, &new, f->near);
}

struct err *flow_pair_instructions(struct flow *f)
{
	f->near = malloc(((size_t)f->new->n + 1) * sizeof(*f->near));
	f->new_of = malloc(((size_t)f->old->n + 1) * sizeof(*f->new_of));
	f->comparer = calloc(1, sizeof(*f->comparer));
	if (!f->near || !f->new_of || !f->comparer)
		return err_nomem();
	*f->comparer = (struct comparer){
		.d = f->d, .old = &f->d->index->old, .new = &f->d->index->new};
	if (f->pair->verdict == FUNC_CODE)
		TRY(align(f));
	else
		for (uint32_t n = 0; n < f->new->n; n++)
			f->near[n] = f->pair->near_twin ? f->pair->near_twin[n] : n;
	for (uint32_t o = 0; o < f->old->n; o++)
		f->new_of[o] = NO_TWIN;
	for (uint32_t n = 0; n < f->new->n; n++) {
		if (f->near[n] >= f->old->n)
			f->near[n] = NO_TWIN;
		else
			f->new_of[f->near[n]] = n;
	}
	return NULL;
}

void flow_forget_instructions(struct flow *f)
{
	free(f->near);
	free(f->new_of);
	if (f->comparer)
		comparer_deinit(f->comparer);
	free(f->comparer);
}

uint32_t flow_near(const struct flow *f, uint32_t n)
{
	return f->near[n];
}

static const struct jump_table *table_of_lea(const struct body *b, uint32_t lea)
{
	vec_for_each(t, &b->tables)
		if (t->lea == lea)
			return t;
	return NULL;
}

bool flow_equal(const struct flow *f, uint32_t n, uint32_t o)
{
	const struct insn *x = &f->new_fn->body.insns.v[n],
			  *y = &f->old_fn->body.insns.v[o];
	const struct jump_table *s, *t;

	if (x->ref != y->ref || x->flags != y->flags || x->hash != y->hash)
		return false;
	switch ((enum ref_kind)x->ref) {
	case REF_NONE:
		return true;
	case REF_BRANCH:
		return !(x->flags & INSN_LEA);
	case REF_TABLE:
		s = table_of_lea(&f->new_fn->body, n);
		t = table_of_lea(&f->old_fn->body, o);
		if (s && t && s->jump != UINT32_MAX && t->jump != UINT32_MAX)
			return s->n == t->n;
		break;
	case REF_CODE:
	case REF_PLT:
	case REF_GOT:
	case REF_DATA:
	case REF_RODATA:
	case REF_ABS:
		break;
	}
	return refs_equal(f->comparer, f->old_fn, y, f->new_fn, x);
}
