// SPDX-License-Identifier: LGPL-2.1-or-later
// Compares two records member by member.
#include "diff/types_internal.h"

#include <dwarf.h>

#include "util/arena.h"
#include "util/cleanup.h"

struct record_pair {
	struct types *t;
	const struct die *old, *new;
	struct type_members a, b;
	struct type_difference *all, *own;
	int depth;
	// Old members sorted by first bit, with the one that reaches farthest among those up to it.
	struct reach {
		uint32_t member;
		uint64_t end;
		uint32_t farthest;
	} * reach;
	// Unmatched new members sorted by first bit.
	uint32_t *fresh;
	size_t n_fresh;
};

static void add(struct record_pair *p, struct type_difference d)
{
	difference_add(p->all, d);
	difference_add(p->own, d);
}

static bool in_bits(const struct type_member *m)
{
	return m->bit % 8 || m->bitfield;
}

static const char *place(struct types *t, const struct type_member *m)
{
	const char *s = in_bits(m) ? arena_printf(&t->strings, "bit %lu", m->bit)
				   : arena_printf(&t->strings, "offset %lu", m->bit / 8);

	return s ? s : "?";
}

static struct type_difference moved(struct types *t, const struct type_member *o,
				    const struct type_member *n)
{
	if (in_bits(o) || in_bits(n))
		return difference(t, TYPE_SHIFTED, o->name,
				  "member %s moved from bit %lu to %lu", o->name, o->bit,
				  n->bit);
	return difference(t, TYPE_SHIFTED, o->name,
			  "member %s moved from offset %lu to %lu", o->name, o->bit / 8,
			  n->bit / 8);
}

static bool resizes(enum type_verdict v)
{
	return v == TYPE_GROWN || v == TYPE_SHRUNK;
}

// Is the type of a member reported on its own, so that its containers need not repeat it?
static bool reported_itself(struct record_pair *p, const struct type_member *o,
			    const struct type_member *n)
{
	const struct die *a = type_strip(p->t->old.d, o->type),
			 *b = type_strip(p->t->new.d, n->type);

	for (int i = 0; i < MAX_TYPE_DEPTH && a && b; i++) {
		if (a->tag != DW_TAG_array_type || b->tag != DW_TAG_array_type)
			break;
		if (type_array_count(p->t->old.d, a) != type_array_count(p->t->new.d, b))
			return false;
		a = type_strip(p->t->old.d, a->type);
		b = type_strip(p->t->new.d, b->type);
	}
	if (!a || !b || !(die_is_record(a) || a->tag == DW_TAG_enumeration_type) ||
	    a->tag != b->tag)
		return false;
	uint32_t i = type_def_of(&p->t->old, a);
	return i != NO_TYPE && p->t->old.defs.v[i].twin != NO_TYPE &&
	       p->t->old.defs.v[i].twin == type_def_of(&p->t->new, b);
}

static void compare_member_types(struct record_pair *p, const struct type_member *o,
				 const struct type_member *n)
{
	struct type_difference d = compare_types(p->t, o->type, n->type, p->depth + 1);
	const char *path = o->name;

	if (d.verdict == TYPE_SAME)
		return;
	if (d.member) {
		path = arena_printf(&p->t->strings, "%s.%s", o->name, d.member);
		if (!path)
			path = o->name;
	}
	d = difference(p->t, d.verdict, path, "member %s: %s", o->name, d.detail);
	difference_add(p->all, d);
	if (!reported_itself(p, o, n) || resizes(d.verdict) || o->bits != n->bits)
		difference_add(p->own, d);
}

static void compare_pair(struct record_pair *p, struct type_member *o,
			 struct type_member *n)
{
	o->matched = n->matched = true;
	// Its type first: a member that moved because the one before it grew names that one.
	compare_member_types(p, o, n);
	if (o->bit != n->bit)
		add(p, moved(p->t, o, n));
	else if (o->bitfield != n->bitfield || (o->bitfield && o->bits != n->bits))
		add(p, difference(p->t, TYPE_MEANING, o->name,
				  "member %s has %lu bits, had %lu", o->name, n->bits,
				  o->bits));
}

static void match_by_name(struct record_pair *p)
{
	size_t next = 0; // nearly always the members stand in the same order

	vec_for_each(o, &p->a.v) {
		struct type_member *n = next < p->b.v.n ? &p->b.v.v[next] : NULL;

		if (!n || strcmp(n->name, o->name))
			n = type_members_find(&p->b, o->name);
		if (!n || n->matched)
			continue;
		next = (size_t)(n - p->b.v.v) + 1;
		compare_pair(p, o, n);
	}
}

static int compare_fresh(const void *a, const void *b, void *arg)
{
	const struct type_members *m = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	uint64_t s = m->v.v[x].bit, e = m->v.v[y].bit;

	return s < e ? -1 : s > e ? 1 : (x > y) - (x < y);
}

static int compare_reach(const void *a, const void *b, void *arg)
{
	const struct reach *x = a, *y = b;

	return compare_fresh(&x->member, &y->member, arg);
}

static struct err *index_leftovers(struct record_pair *p)
{
	p->reach = calloc(p->a.v.n + 1, sizeof(*p->reach));
	p->fresh = calloc(p->b.v.n + 1, sizeof(*p->fresh));
	if (!p->reach || !p->fresh)
		return err_nomem();
	for (uint32_t i = 0; i < p->a.v.n; i++)
		p->reach[i].member = i;
	if (p->a.v.n)
		qsort_r(p->reach, p->a.v.n, sizeof(*p->reach), compare_reach, &p->a);
	for (size_t i = 0; i < p->a.v.n; i++) {
		const struct type_member *m = &p->a.v.v[p->reach[i].member];
		struct reach *r = &p->reach[i], *before = i ? r - 1 : NULL;

		r->end = m->bit + m->bits;
		r->farthest = r->member;
		if (before && before->end > r->end) {
			r->end = before->end;
			r->farthest = before->farthest;
		}
	}
	for (uint32_t i = 0; i < p->b.v.n; i++)
		if (!p->b.v.v[i].matched)
			p->fresh[p->n_fresh++] = i;
	if (p->n_fresh)
		qsort_r(p->fresh, p->n_fresh, sizeof(*p->fresh), compare_fresh, &p->b);
	return NULL;
}

// A new member that starts where a vanished one did and is as large.
static struct type_member *successor(struct record_pair *p, const struct type_member *o)
{
	size_t lo = 0, hi = p->n_fresh;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (p->b.v.v[p->fresh[mid]].bit < o->bit)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < p->n_fresh; lo++) {
		struct type_member *n = &p->b.v.v[p->fresh[lo]];

		if (n->bit != o->bit)
			break;
		if (!n->matched && n->bits == o->bits && n->bitfield == o->bitfield)
			return n;
	}
	return NULL;
}

static void judge_vanished(struct record_pair *p)
{
	vec_for_each(o, &p->a.v) {
		struct type_member *n = o->matched ? NULL : successor(p, o);
		struct type_difference d;

		if (!n)
			continue;
		d = compare_types(p->t, o->type, n->type, p->depth + 1);
		n->matched = o->matched = true;
		if (d.verdict == TYPE_SAME)
			add(p, difference(p->t, TYPE_RENAMED, o->name,
					  "member %s became %s", o->name, n->name));
		else
			add(p, difference(p->t, TYPE_MEANING, o->name,
					  "member %s became %s at the same place: %s",
					  o->name, n->name, d.detail));
	}
	vec_for_each(o, &p->a.v)
		if (!o->matched)
			add(p, difference(p->t, TYPE_HOLE, o->name, "member %s is gone",
					  o->name));
}

// The old member that has bits of [start, end), NULL if these are all padding.
static const struct type_member *occupant(struct record_pair *p, uint64_t start,
					  uint64_t end)
{
	size_t lo = 0, hi = p->a.v.n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (p->a.v.v[p->reach[mid].member].bit < end)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo || p->reach[lo - 1].end <= start)
		return NULL;
	return &p->a.v.v[p->reach[lo - 1].farthest];
}

static void judge_fresh(struct record_pair *p)
{
	uint64_t old_bits = p->old->size * 8;

	vec_for_each(n, &p->b.v) {
		const struct type_member *o;

		if (n->matched)
			continue;
		// A flexible array starts where nothing was allocated for it.
		if (n->bit + n->bits > old_bits || !n->bits) {
			add(p, difference(p->t, TYPE_GROWN, n->name,
					  "new member %s at %s", n->name, place(p->t, n)));
			continue;
		}
		o = occupant(p, n->bit, n->bit + n->bits);
		if (!o)
			add(p, difference(p->t, TYPE_HOLE, n->name,
					  "new member %s at %s, which was padding",
					  n->name, place(p->t, n)));
		else if (n->group && o->matched)
			add(p, difference(p->t, TYPE_HOLE, n->name,
					  "new alternative %s at %s, beside %s", n->name,
					  place(p->t, n), o->name));
		else
			add(p, difference(p->t, TYPE_MEANING, n->name,
					  "new member %s at %s, where %s was", n->name,
					  place(p->t, n), o->name));
	}
}

static void judge_size(struct record_pair *p)
{
	uint64_t a = p->old->size, b = p->new->size;

	if (a != b)
		add(p, difference(p->t, a < b ? TYPE_GROWN : TYPE_SHRUNK, NULL,
				  "size changed from %lu to %lu", a, b));
}

struct err *compare_records(struct types *t, const struct die *old, const struct die *new,
			    int depth, struct type_difference *all,
			    struct type_difference *own)
{
	struct record_pair p = {
		.t = t, .old = old, .new = new, .all = all, .own = own, .depth = depth};
	struct err *e = type_members_read(&t->old, old, t, &p.a);

	if (!e)
		e = type_members_read(&t->new, new, t, &p.b);
	if (!e) {
		match_by_name(&p);
		e = index_leftovers(&p);
	}
	if (!e) {
		judge_vanished(&p);
		judge_fresh(&p);
		add(&p, compare_vtables(t, old, new));
		judge_size(&p);
	}
	type_members_deinit(&p.a);
	type_members_deinit(&p.b);
	free(p.reach);
	free(p.fresh);
	return e;
}
