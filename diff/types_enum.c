// SPDX-License-Identifier: LGPL-2.1-or-later
// Compares enumerations by the values of equal names, and virtual tables by the slots of equal functions.
#include "diff/types_internal.h"

#include <dwarf.h>
#include <strings.h>

#include "util/cleanup.h"

// A name with a number: an enumerator's value, a virtual function's slot.
struct numbered {
	const char *name;
	int64_t value;
	bool matched;
};

struct numbered_list {
	VEC(struct numbered) v; // sorted by name
	int64_t max;
	const char *last; // the last one declared
	int64_t last_value;
	size_t with_max;
};

static int compare_numbered(const void *a, const void *b)
{
	const struct numbered *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c ? c : (x->value > y->value) - (x->value < y->value);
}

static bool push(struct numbered_list *l, const char *name, int64_t value)
{
	struct err *e = vec_push(&l->v, (struct numbered){.name = name, .value = value});

	if (e) {
		err_free(e);
		return false;
	}
	l->with_max = value > l->max || l->v.n == 1 ? 1 : l->with_max + (value == l->max);
	l->max = value > l->max || l->v.n == 1 ? value : l->max;
	l->last = name;
	l->last_value = value;
	return true;
}

static bool read_list(const struct dies *d, const struct die *e, uint16_t tag,
		      struct numbered_list *l)
{
	for (const struct die *c = dies_child(d, e); c; c = dies_sibling(d, c)) {
		const char *name = c->linkage_name ? c->linkage_name : c->name;

		if (c->tag != tag || !name ||
		    (tag == DW_TAG_subprogram && !c->vtable_slot))
			continue;
		if (!push(l, name,
			  tag == DW_TAG_subprogram ? c->vtable_slot - 1
						   : (int64_t)c->value))
			return false;
	}
	if (l->v.n)
		qsort(l->v.v, l->v.n, sizeof(*l->v.v), compare_numbered);
	return true;
}

// Both lists are sorted: what has the same name is marked, the first other value is reported.
static const struct numbered *first_moved(struct numbered_list *a, struct numbered_list *b,
					  const struct numbered **to, const char *except)
{
	const struct numbered *moved = NULL;
	size_t k = 0;

	for (size_t i = 0; i < a->v.n; i++) {
		int c = 1;

		while (k < b->v.n && (c = strcmp(b->v.v[k].name, a->v.v[i].name)) < 0)
			k++;
		if (c)
			continue;
		a->v.v[i].matched = b->v.v[k].matched = true;
		if (a->v.v[i].value == b->v.v[k].value ||
		    (except && !strcmp(except, a->v.v[i].name)))
			continue;
		if (!moved || a->v.v[i].value < moved->value) {
			moved = &a->v.v[i];
			*to = &b->v.v[k];
		}
	}
	return moved;
}

static int compare_values(const void *a, const void *b)
{
	const struct numbered *x = a, *y = b;

	return x->value < y->value ? -1 : x->value > y->value;
}

// A name of OLD that is gone while a new one has its value.
static const struct numbered *first_replaced(struct numbered_list *a,
					     struct numbered_list *b,
					     const struct numbered **by)
{
	qsort(b->v.v, b->v.n, sizeof(*b->v.v), compare_values);
	for (size_t i = 0; i < a->v.n; i++) {
		struct numbered *hit;

		if (a->v.v[i].matched)
			continue;
		hit = bsearch(&a->v.v[i], b->v.v, b->v.n, sizeof(*b->v.v), compare_values);
		if (hit && !hit->matched) {
			*by = hit;
			return &a->v.v[i];
		}
	}
	return NULL;
}

// "NUM_STATES", "CONN_MAX": the last one, one above all others, named as a count and not as a state.
static const char *end_mark(const struct numbered_list *l)
{
	static const char *const words[] = {"max",   "count", "num",  "nr",
					    "total", "size",  "limit"};
	const char *name = l->last;

	if (!name || l->last_value != l->max || l->with_max != 1)
		return NULL;
	for (const char *p = name; *p; p += strcspn(p, "_"), p += strspn(p, "_"))
		for (size_t i = 0; i < ARRAY_SIZE(words); i++)
			if (strcspn(p, "_") == strlen(words[i]) &&
			    !strncasecmp(p, words[i], strlen(words[i])))
				return name;
	return NULL;
}

static struct type_difference compare_enum_lists(struct types *t, struct numbered_list *a,
						 struct numbered_list *b)
{
	const char *end = end_mark(a), *new_end = end_mark(b);
	const struct numbered *from, *to = NULL;

	if (!end || !new_end || strcmp(end, new_end))
		end = NULL;
	from = first_moved(a, b, &to, end);
	if (from)
		return difference(t, TYPE_MEANING, from->name,
				  "enumerator %s changed from %ld to %ld", from->name,
				  from->value, to->value);
	from = b->v.n ? first_replaced(a, b, &to) : NULL;
	if (from)
		return difference(t, TYPE_RENAMED, from->name,
				  "enumerator %s (%ld) became %s", from->name,
				  from->value, to->name);
	if (end && a->max != b->max)
		return difference(t, TYPE_RENAMED, end,
				  "end mark %s went from %ld to %ld", end, a->max, b->max);
	return (struct type_difference){};
}

struct type_difference compare_enums(struct types *t, const struct die *old,
				     const struct die *new)
{
	struct numbered_list a = {}, b = {};
	uint64_t x = type_size(t->old.d, old->off), y = type_size(t->new.d, new->off);
	struct type_difference d = {};

	if (!read_list(t->old.d, old, DW_TAG_enumerator, &a) ||
	    !read_list(t->new.d, new, DW_TAG_enumerator, &b))
		t->no_memory = true;
	else if (x != y)
		d = difference(t, x < y ? TYPE_GROWN : TYPE_SHRUNK, NULL,
			       "size changed from %lu to %lu", x, y);
	else
		d = compare_enum_lists(t, &a, &b);
	vec_free(&a.v);
	vec_free(&b.v);
	return d;
}

// Objects keep a pointer to the virtual table of OLD, which new code reads by its own slots.
struct type_difference compare_vtables(struct types *t, const struct die *old,
				       const struct die *new)
{
	struct numbered_list a = {}, b = {};
	const struct numbered *from, *to = NULL;
	struct type_difference d = {};

	if (!read_list(t->old.d, old, DW_TAG_subprogram, &a) ||
	    !read_list(t->new.d, new, DW_TAG_subprogram, &b)) {
		t->no_memory = true;
	} else if ((from = first_moved(&a, &b, &to, NULL))) {
		d = difference(t, TYPE_MEANING, from->name,
			       "virtual function %s moved from slot %ld to %ld",
			       from->name, from->value, to->value);
	} else {
		vec_for_each(f, &b.v)
			if (!f->matched)
				difference_add(
					&d,
					difference(
						t, TYPE_MEANING, f->name,
						"virtual function %s is new in slot %ld",
						f->name, f->value));
	}
	vec_free(&a.v);
	vec_free(&b.v);
	return d;
}
