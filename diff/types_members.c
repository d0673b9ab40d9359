// SPDX-License-Identifier: LGPL-2.1-or-later
// The members of a record as a flat list. Those of unnamed members belong to the record around them, as
// for the language, so that wrapping a member into an anonymous union changes nothing.
#include "diff/types_internal.h"

#include <dwarf.h>

#include "util/arena.h"
#include "util/cleanup.h"

struct member_walk {
	const struct type_side *s;
	struct types *t;
	struct type_members *out;
};

static const char *base_class_name(struct member_walk *w, const struct die *c)
{
	const struct die *base = type_strip(w->s->d, c->type);

	return arena_printf(&w->t->strings, "(base)%s",
			    base && base->name ? base->name : "anonymous");
}

static struct err *add_members(struct member_walk *w, const struct die *record,
			       uint64_t at, uint32_t group, int depth);

static struct err *add_member(struct member_walk *w, const struct die *c, uint64_t at,
			      uint32_t group, int depth)
{
	const struct dies *d = w->s->d;
	const struct die *type = type_strip(d, c->type);
	struct type_member m = {.name = c->name, .die = c, .type = c->type, .group = group};
	uint64_t bit;

	if (c->bit_size) {
		if (!member_bits(d, c, &bit, &m.bits))
			return NULL;
		m.bitfield = true;
		m.bit = at + bit;
	} else {
		m.bit = at + c->value * 8;
		m.bits = type_size(d, c->type) * 8;
	}
	if (c->tag == DW_TAG_inheritance) {
		m.name = base_class_name(w, c);
		if (!m.name)
			return err_nomem();
	} else if (!c->name && type && die_is_record(type)) {
		return add_members(w, type, m.bit, group, depth + 1);
	}
	if (!m.name) // unnamed bit-fields are padding
		return NULL;
	return vec_push(&w->out->v, m);
}

static struct err *add_members(struct member_walk *w, const struct die *record,
			       uint64_t at, uint32_t group, int depth)
{
	const struct dies *d = w->s->d;

	if (depth > MAX_TYPE_DEPTH)
		w->t->endless = true;
	if (record->tag == DW_TAG_union_type)
		group = group ? group : ++w->out->groups;
	for (const struct die *c = dies_child(d, record); c; c = dies_sibling(d, c)) {
		if ((c->tag != DW_TAG_member && c->tag != DW_TAG_inheritance) ||
		    (c->flags & (DIE_DECLARATION | DIE_EXTERNAL)))
			continue;
		if (!types_step(w->t))
			return NULL;
		// The value of a virtual base's location is not a fixed offset.
		TRY(add_member(w, c, at, group, depth));
	}
	return NULL;
}

static int compare_names(const void *a, const void *b, void *arg)
{
	const struct type_members *m = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	int c = strcmp(m->v.v[x].name, m->v.v[y].name);

	return c ? c : (x > y) - (x < y);
}

struct err *type_members_read(const struct type_side *s, const struct die *record,
			      struct types *t, struct type_members *ret)
{
	struct member_walk w = {s, t, ret};

	TRY(add_members(&w, record, 0, 0, 0));
	ret->by_name = malloc((ret->v.n + 1) * sizeof(*ret->by_name));
	if (!ret->by_name)
		return err_nomem();
	for (size_t i = 0; i < ret->v.n; i++)
		ret->by_name[i] = (uint32_t)i;
	if (ret->v.n)
		qsort_r(ret->by_name, ret->v.n, sizeof(*ret->by_name), compare_names, ret);
	return NULL;
}

void type_members_deinit(struct type_members *m)
{
	vec_free(&m->v);
	free(m->by_name);
	m->by_name = NULL;
}

struct type_member *type_members_find(struct type_members *m, const char *name)
{
	size_t lo = 0, hi = m->v.n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (strcmp(m->v.v[m->by_name[mid]].name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == m->v.n || strcmp(m->v.v[m->by_name[lo]].name, name))
		return NULL;
	return &m->v.v[m->by_name[lo]];
}
