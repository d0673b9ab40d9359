// SPDX-License-Identifier: LGPL-2.1-or-later
// Names and sizes of type entries.
#include "elf/type_die.h"

#include <dwarf.h>

#include "util/arena.h"

const struct die *type_strip(const struct dies *d, uint64_t off)
{
	for (int depth = 0; depth < MAX_TYPE_DEPTH; depth++) {
		const struct die *e = dies_at(d, off);

		if (!e)
			return NULL;
		switch (e->tag) {
		case DW_TAG_typedef:
		case DW_TAG_const_type:
		case DW_TAG_volatile_type:
		case DW_TAG_restrict_type:
		case DW_TAG_atomic_type:
			off = e->type;
			break;
		default:
			return die_is_record(e) && (e->flags & DIE_DECLARATION)
				       ? dies_origin(d, e)
				       : e;
		}
	}
	return NULL;
}

// Languages have a limit for the dimensions of an array; what a damaged one has more is not looked at.
enum { MAX_DIMENSIONS = 64 };

uint64_t type_array_count(const struct dies *d, const struct die *array)
{
	uint64_t n = 1;
	bool any = false;
	int seen = 0;

	for (const struct die *c = dies_child(d, array); c && seen++ < MAX_DIMENSIONS;
	     c = dies_sibling(d, c)) {
		if (c->tag != DW_TAG_subrange_type && c->tag != DW_TAG_enumeration_type)
			continue;
		any = true;
		if (__builtin_mul_overflow(n, c->flags & DIE_VALUE ? c->value : 0, &n))
			return 0;
	}
	return any ? n : 0;
}

static uint64_t size_at(const struct dies *d, uint64_t off, int depth)
{
	const struct die *e = type_strip(d, off);
	uint64_t n;

	if (!e || depth > MAX_TYPE_DEPTH)
		return 0;
	if (e->tag == DW_TAG_array_type && !(e->flags & DIE_SIZE)) {
		if (__builtin_mul_overflow(type_array_count(d, e),
					   size_at(d, e->type, depth + 1), &n))
			return 0;
		return n;
	}
	if (die_is_pointer(e) && !(e->flags & DIE_SIZE))
		return d->units.v[e->unit].address_size;
	if (e->tag == DW_TAG_enumeration_type && !(e->flags & DIE_SIZE))
		return size_at(d, e->type, depth + 1);
	return e->size;
}

uint64_t type_size(const struct dies *d, uint64_t off)
{
	return size_at(d, off, 0);
}

bool member_bits(const struct dies *d, const struct die *m, uint64_t *bit, uint64_t *bits)
{
	uint64_t storage = m->flags & DIE_SIZE ? m->size : type_size(d, m->type);
	uint64_t start;

	*bits = m->bit_size;
	if (__builtin_mul_overflow(m->value, 8, &start))
		return false;
	if (m->flags & DIE_BITS_DWARF4) {
		*bit = start + m->bit_offset;
		return true;
	}
	if (!(m->flags & DIE_BITS_DWARF2)) {
		*bit = start;
		return true;
	}
	// DWARF 2 counts from the most significant bit of the storage unit; a negative offset wraps.
	*bit = start + storage * 8 - (uint64_t)(int64_t)(int32_t)m->bit_offset -
	       m->bit_size;
	return *bit < (uint64_t)1 << 60;
}

bool type_is_const(const struct dies *d, uint64_t off)
{
	for (int depth = 0; depth < MAX_TYPE_DEPTH; depth++) {
		const struct die *e = dies_at(d, off);

		if (!e)
			return false;
		if (e->tag == DW_TAG_const_type)
			return true;
		if (e->tag != DW_TAG_typedef && e->tag != DW_TAG_volatile_type &&
		    e->tag != DW_TAG_restrict_type && e->tag != DW_TAG_array_type)
			return false;
		off = e->type;
	}
	return false;
}

static const char *named(const char *keyword, const struct die *e, void **arena)
{
	if (e->name)
		return *keyword ? arena_printf(arena, "%s %s", keyword, e->name) : e->name;
	return arena_printf(arena, "%s%s(anonymous)", keyword, *keyword ? " " : "");
}

static const char *array_name(const struct dies *d, const struct die *e,
			      const char *element, void **arena)
{
	const char *name = element;
	int seen = 0;

	for (const struct die *c = dies_child(d, e); c && name && seen++ < MAX_DIMENSIONS;
	     c = dies_sibling(d, c)) {
		if (c->tag != DW_TAG_subrange_type)
			continue;
		name = c->flags & DIE_VALUE
			       ? arena_printf(arena, "%s[%lu]", name, c->value)
			       : arena_printf(arena, "%s[]", name);
	}
	return name;
}

static const char *name_at(const struct dies *d, uint64_t off, void **arena, int depth);

static const char *wrap(const struct dies *d, const struct die *e, const char *fmt,
			void **arena, int depth)
{
	const char *inner = name_at(d, e->type, arena, depth + 1);

	if (!inner)
		return NULL;
	if (!strncmp(inner, fmt, strlen(fmt))) // a const array of const elements
		return inner;
	if (*fmt == ' ') { // a suffix: pointers stand together, as in "char **"
		size_t n = strlen(inner);

		return arena_printf(arena, "%s%s", inner,
				    n && inner[n - 1] == '*' ? fmt + 1 : fmt);
	}
	return arena_printf(arena, "%s%s", fmt, inner);
}

static const char *name_at(const struct dies *d, uint64_t off, void **arena, int depth)
{
	const struct die *e = dies_at(d, off);
	const char *element;

	if (!off)
		return "void";
	if (!e || depth > MAX_TYPE_DEPTH)
		return "?";
	switch (e->tag) {
	case DW_TAG_structure_type:
		return named("struct", e, arena);
	case DW_TAG_class_type:
		return named("class", e, arena);
	case DW_TAG_union_type:
		return named("union", e, arena);
	case DW_TAG_enumeration_type:
		return named("enum", e, arena);
	case DW_TAG_pointer_type:
		return wrap(d, e, " *", arena, depth);
	case DW_TAG_reference_type:
		return wrap(d, e, " &", arena, depth);
	case DW_TAG_rvalue_reference_type:
		return wrap(d, e, " &&", arena, depth);
	case DW_TAG_const_type:
		return wrap(d, e, "const ", arena, depth);
	case DW_TAG_volatile_type:
		return wrap(d, e, "volatile ", arena, depth);
	case DW_TAG_restrict_type:
		return wrap(d, e, "restrict ", arena, depth);
	case DW_TAG_atomic_type:
		return wrap(d, e, "_Atomic ", arena, depth);
	case DW_TAG_array_type:
		element = name_at(d, e->type, arena, depth + 1);
		return element ? array_name(d, e, element, arena) : NULL;
	case DW_TAG_subroutine_type:
		element = name_at(d, e->type, arena, depth + 1);
		return element ? arena_printf(arena, "%s ()", element) : NULL;
	case DW_TAG_ptr_to_member_type:
		return wrap(d, e, " ::*", arena, depth);
	default:
		return named("", e, arena);
	}
}

const char *type_name(const struct dies *d, uint64_t off, void **arena)
{
	return name_at(d, off, arena, 0);
}

static bool is_scope(const struct die *e)
{
	return e->tag == DW_TAG_namespace || die_is_record(e) ||
	       e->tag == DW_TAG_enumeration_type;
}

const char *die_qualified_name(const struct dies *d, const struct die *e, void **arena)
{
	const char *name = e->name ? e->name : "(anonymous)";
	int depth = 0;

	for (e = dies_parent(d, e); e && name && depth < MAX_TYPE_DEPTH;
	     e = dies_parent(d, e)) {
		if (!is_scope(e))
			break;
		name = arena_printf(arena, "%s::%s", e->name ? e->name : "(anonymous)",
				    name);
		depth++;
	}
	return name;
}
