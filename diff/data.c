// SPDX-License-Identifier: LGPL-2.1-or-later
// The verdict on each pair of variables.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diff/private.h"
#include "util/cleanup.h"

static char *first_difference(struct comparer *c, const struct var *o, const struct var *n)
{
	uint64_t at = 0;
	char *text;

	// By words, so that a relocation is one thing.
	while (at < o->size) {
		uint64_t k = 8 - ((o->addr + at) & 7);

		if (k > o->size - at)
			k = o->size - at;
		if (!ranges_equal(c, o->addr + at, n->addr + at, k))
			break;
		at += k;
	}
	if (asprintf(&text, "initial value differs at offset %lu of %lu",
		     (unsigned long)at, (unsigned long)o->size) < 0)
		return NULL;
	return text;
}

static void compare_contents(struct comparer *c, struct var_pair *p)
{
	const struct var *o = &c->old->vars[p->old], *n = &c->new->vars[p->new];

	if (o->linker || n->linker)
		return;
	if (o->size != n->size) {
		p->verdict = VAR_RESIZED;
		if (asprintf(&p->detail, "%lu bytes became %lu", (unsigned long)o->size,
			     (unsigned long)n->size) < 0)
			p->detail = NULL;
	} else if (o->copy_reloc != n->copy_reloc) {
		p->verdict = VAR_INIT;
		p->detail = strdup(n->copy_reloc ? "is now copied from a library"
						 : "was copied from a library");
	} else if (!ranges_equal(c, o->addr, n->addr, o->size)) {
		p->verdict = VAR_INIT;
		p->detail = first_difference(c, o, n);
	}
}

// Functions that run once: main, and constructors.
static bool runs_once(const struct side *s, uint32_t f)
{
	const struct func *fn = &s->funcs[f];

	if (!strcmp(fn->name, "main"))
		return true;
	for (uint64_t at = 0; at + 8 <= s->m->init_array_size; at += 8) {
		const struct reloc *r = module_reloc_at(s->m, s->m->init_array + at);

		if (r && (vaddr_t)r->addend == fn->addr)
			return true;
	}
	return false;
}

enum writers { WRITTEN_ONCE = 1, WRITTEN_LATER = 2 };

// A variable whose address is taken may be written by anyone, so that counts as later.
static struct err *find_writers(const struct side *s, uint8_t **ret)
{
	uint8_t *by = calloc(s->n_vars + 1, 1);

	if (!by)
		return err_nomem();
	for (uint32_t f = 0; f < s->n_funcs; f++) {
		bool once = runs_once(s, f);

		vec_for_each(in, &s->funcs[f].body.insns) {
			uint32_t v;

			if (in->ref != REF_DATA || !(in->flags & (INSN_WRITE | INSN_LEA)))
				continue;
			v = side_var_at(s, in->target).inside;
			if (v != NO_TWIN)
				by[v] |= once && (in->flags & INSN_WRITE) ? WRITTEN_ONCE
									  : WRITTEN_LATER;
		}
	}
	*ret = by;
	return NULL;
}

struct err *list_var_pairs(struct diff *d)
{
	struct side *o = &d->index->old, *n = &d->index->new;

	TRY(vec_reserve(&d->vars, o->n_vars + n->n_vars));
	for (uint32_t i = 0; i < n->n_vars; i++) {
		uint32_t twin = n->pair_of_var[i];

		d->index->pair_of_new_var[i] = (uint32_t)d->vars.n;
		if (twin != NO_TWIN)
			d->index->pair_of_old_var[twin] = (uint32_t)d->vars.n;
		d->vars.v[d->vars.n++] = (struct var_pair){
			.verdict = twin == NO_TWIN ? VAR_ADDED : VAR_SAME,
			.old = twin,
			.new = i,
		};
	}
	for (uint32_t i = 0; i < o->n_vars; i++) {
		if (o->pair_of_var[i] != NO_TWIN)
			continue;
		d->index->pair_of_old_var[i] = (uint32_t)d->vars.n;
		d->vars.v[d->vars.n++] = (struct var_pair){
			.verdict = VAR_REMOVED, .old = i, .new = NO_TWIN};
	}
	return NULL;
}

struct err *compare_variables(struct diff *d)
{
	_cleanup_(comparer_deinit) struct comparer c = {
		.d = d, .old = &d->index->old, .new = &d->index->new};
	_cleanup_free_ uint8_t *writers = NULL;

	TRY(find_writers(c.new, &writers));
	vec_for_each(p, &d->vars) {
		if (p->old != NO_TWIN && p->new != NO_TWIN)
			compare_contents(&c, p);
		else if (p->new != NO_TWIN)
			p->written_at_start_only = writers[p->new] == WRITTEN_ONCE;
	}
	return NULL;
}
