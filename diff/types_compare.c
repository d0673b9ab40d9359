// SPDX-License-Identifier: LGPL-2.1-or-later
// Compares two types as the data of one: kinds, sizes, encodings, array lengths.
#include "diff/types_internal.h"

#include <dwarf.h>
#include <stdarg.h>
#include <stdio.h>

#include "util/arena.h"
#include "util/cleanup.h"

struct type_difference difference(struct types *t, enum type_verdict verdict,
				  const char *member, const char *fmt, ...)
{
	struct type_difference d = {.verdict = verdict, .member = member};
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		text = NULL;
	d.detail = text ? arena_strdup(&t->strings, text) : NULL;
	if (!d.detail) {
		t->no_memory = true;
		d.detail = "";
	}
	return d;
}

void difference_add(struct type_difference *to, struct type_difference more)
{
	if (more.verdict <= to->verdict)
		return;
	if (to->verdict < TYPE_SHRUNK) {
		*to = more;
		return;
	}
	// What moved the rest was seen first, and is what the reader wants to know.
	to->verdict = more.verdict;
	if (!to->member)
		to->member = more.member;
}

enum kind {
	KIND_VOID,
	KIND_BASE,
	KIND_ENUM,
	KIND_POINTER,
	KIND_RECORD,
	KIND_ARRAY,
	KIND_OTHER
};

static enum kind kind_of(const struct die *e)
{
	if (!e)
		return KIND_VOID;
	if (die_is_record(e))
		return KIND_RECORD;
	if (die_is_pointer(e))
		return KIND_POINTER;
	switch (e->tag) {
	case DW_TAG_base_type:
		return KIND_BASE;
	case DW_TAG_enumeration_type:
		return KIND_ENUM;
	case DW_TAG_array_type:
		return KIND_ARRAY;
	default:
		return KIND_OTHER;
	}
}

static const char *title(struct types *t, const struct type_side *s, uint64_t off)
{
	const char *name = type_name(s->d, off, &t->strings);

	return name ? name : "?";
}

static struct type_difference changed(struct types *t, enum type_verdict verdict,
				      uint64_t old, uint64_t new)
{
	return difference(t, verdict, NULL, "%s became %s", title(t, &t->old, old),
			  title(t, &t->new, new));
}

// The verdict for a scalar: by size first, for then the bytes themselves do not fit.
static struct type_difference compare_scalars(struct types *t, uint64_t old, uint64_t new,
					      bool same)
{
	uint64_t a = type_size(t->old.d, old), b = type_size(t->new.d, new);

	if (a < b)
		return changed(t, TYPE_GROWN, old, new);
	if (a > b)
		return changed(t, TYPE_SHRUNK, old, new);
	return same ? (struct type_difference){} : changed(t, TYPE_MEANING, old, new);
}

// What a pointer leads to is compared at that type; only another named type behind it changes what the
// bytes mean.
static struct type_difference compare_targets(struct types *t, const struct die *old,
					      const struct die *new, uint64_t old_off,
					      uint64_t new_off)
{
	const struct die *a = type_strip(t->old.d, old->type),
			 *b = type_strip(t->new.d, new->type);
	struct type_def *x, *y;
	uint32_t i, k;

	if (kind_of(a) != KIND_RECORD || kind_of(b) != KIND_RECORD)
		return (struct type_difference){};
	i = type_def_of(&t->old, a);
	k = type_def_of(&t->new, b);
	if (i == NO_TYPE || k == NO_TYPE)
		return (struct type_difference){};
	x = &t->old.defs.v[i];
	y = &t->new.defs.v[k];
	if (x->twin == k || !strcmp(x->name, y->name))
		return (struct type_difference){};
	if (x->twin == NO_TYPE &&
	    y->twin == NO_TYPE) { // a type was renamed: compared under both names
		x->twin = k;
		y->twin = i;
		return (struct type_difference){};
	}
	return changed(t, TYPE_MEANING, old_off, new_off);
}

static struct type_difference compare_arrays(struct types *t, const struct die *old,
					     const struct die *new, int depth)
{
	uint64_t a = type_array_count(t->old.d, old), b = type_array_count(t->new.d, new);
	struct type_difference d = compare_types(t, old->type, new->type, depth + 1);

	if (d.verdict != TYPE_SAME)
		return d;
	if (a == b)
		return d;
	return difference(t, a < b ? TYPE_GROWN : TYPE_SHRUNK, NULL,
			  "%lu elements became %lu", a, b);
}

struct type_difference compare_types(struct types *t, uint64_t old, uint64_t new,
				     int depth)
{
	const struct die *a = type_strip(t->old.d, old), *b = type_strip(t->new.d, new);
	enum kind kind = kind_of(a);

	if (depth > MAX_TYPE_DEPTH)
		t->endless = true;
	if (!types_step(t) || (!a && !b))
		return (struct type_difference){};
	if (kind != kind_of(b))
		return compare_scalars(t, old, new, false);
	switch (kind) {
	case KIND_BASE:
		return compare_scalars(t, old, new, a->encoding == b->encoding);
	case KIND_POINTER:
		return compare_targets(t, a, b, old, new);
	case KIND_ARRAY:
		return compare_arrays(t, a, b, depth);
	case KIND_ENUM:
	case KIND_RECORD:
		return compare_defs(t, a, b, depth);
	case KIND_VOID:
	case KIND_OTHER:
	default:
		return compare_scalars(t, old, new, true);
	}
}

// Definitions that are paired are compared once; others (unnamed ones) each time.
struct type_difference compare_defs(struct types *t, const struct die *old,
				    const struct die *new, int depth)
{
	uint32_t i = type_def_of(&t->old, old), k = type_def_of(&t->new, new);
	struct type_def *def = i == NO_TYPE ? NULL : &t->old.defs.v[i];
	struct type_difference all = {}, own = {};
	struct err *e = NULL;

	if (def && k != NO_TYPE && def->twin != k &&
	    strcmp(def->name, t->new.defs.v[k].name)) {
		bool both = type_named(&t->new, def->name) != NO_TYPE;

		all = difference(t, both ? TYPE_MEANING : TYPE_RENAMED, NULL,
				 "%s became %s", type_def_title(t, &t->old, def),
				 type_def_title(t, &t->new, &t->new.defs.v[k]));
	}
	if (def && (def->twin != k || k == NO_TYPE))
		def = NULL;
	if (def && (def->compared || def->comparing))
		return def->all;
	if (def)
		def->comparing = true;
	if ((old->flags | new->flags) & DIE_DECLARATION)
		return all;
	if (old->tag == DW_TAG_enumeration_type) {
		difference_add(&all, compare_enums(t, old, new));
		own = all;
	} else {
		e = compare_records(t, old, new, depth, &all, &own);
	}
	if (e) {
		t->no_memory = true;
		err_free(e);
	}
	if (def) {
		def->all = all;
		def->own = own;
		def->compared = true;
		def->comparing = false;
	}
	return all;
}
