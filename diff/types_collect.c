// SPDX-License-Identifier: LGPL-2.1-or-later
// Collects the records and enumerations of one program: named, and once for all units that agree.
#include "diff/types_internal.h"

#include <dwarf.h>

#include "util/arena.h"
#include "util/cleanup.h"
#include "util/hash.h"
#include "util/path.h"

enum {
	MAX_NAME_DEPTH = 16,
	MAX_SAME_NAME = 1 << 14, // definitions; more exist in damaged input only
};

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15u;
	return h ^ h >> 31;
}

uint64_t type_name_hash(const char *name)
{
	uint64_t h = hash_bytes(HASH_START, name, strlen(name));

	return h ^ h >> 29;
}

static bool is_def(const struct die *e)
{
	return (die_is_record(e) || e->tag == DW_TAG_enumeration_type) &&
	       !(e->flags & DIE_DECLARATION);
}

// The record or enumeration that a type is made of, behind typedefs, qualifiers and arrays.
static const struct die *element_type(const struct dies *d, uint64_t off)
{
	const struct die *e = type_strip(d, off);

	for (int i = 0; i < MAX_TYPE_DEPTH && e && e->tag == DW_TAG_array_type; i++)
		e = type_strip(d, e->type);
	return e;
}

// A typedef names an anonymous type better than a member, a member better than a variable.
static int namer_rank(const struct die *e)
{
	switch (e->tag) {
	case DW_TAG_typedef:
		return 3;
	case DW_TAG_member:
		return e->name ? 2 : 0;
	case DW_TAG_variable:
		return e->name ? 1 : 0;
	default:
		return 0;
	}
}

static void find_namers(struct type_side *s)
{
	const struct dies *d = s->d;

	vec_for_each(e, &d->dies) {
		int rank = namer_rank(e);
		const struct die *to;
		uint32_t *slot;

		if (!rank)
			continue;
		to = rank == 3 ? dies_at(d, e->type) : element_type(d, e->type);
		if (!to || to->name || !is_def(to))
			continue;
		slot = &s->namer[dies_index(d, to)];
		if (*slot == NO_DIE || namer_rank(&d->dies.v[*slot]) < rank)
			*slot = dies_index(d, e);
	}
}

static const char *local_prefix(const struct dies *d, const struct die *e)
{
	for (e = dies_parent(d, e); e; e = dies_parent(d, e))
		if (e->tag == DW_TAG_subprogram)
			return dies_origin(d, e)->name;
	return NULL;
}

static const char *scoped(struct types *t, const struct type_side *s, const struct die *e)
{
	const char *prefix = e->flags & DIE_LOCAL ? local_prefix(s->d, e) : NULL;
	const struct die *up = dies_parent(s->d, e);
	const char *name = e->name;

	// In C nearly every type stands right in its unit.
	if (!up || up->parent != NO_DIE)
		name = die_qualified_name(s->d, e, &t->strings);
	return prefix && name ? arena_printf(&t->strings, "%s()::%s", prefix, name) : name;
}

// NULL for a type that cannot be named, or without memory.
static const char *def_name(struct types *t, const struct type_side *s,
			    const struct die *e, int depth)
{
	const struct die *namer, *up;
	const char *outer;

	if (e->name)
		return scoped(t, s, e);
	if (s->namer[dies_index(s->d, e)] == NO_DIE || depth > MAX_NAME_DEPTH)
		return NULL;
	namer = &s->d->dies.v[s->namer[dies_index(s->d, e)]];
	if (namer->tag == DW_TAG_typedef)
		return scoped(t, s, namer);
	if (namer->tag == DW_TAG_variable) {
		outer = scoped(t, s, namer);
		return outer ? arena_printf(&t->strings, "type of %s", outer) : NULL;
	}
	up = dies_parent(s->d, namer);
	outer = up ? def_name(t, s, up, depth + 1) : NULL;
	return outer ? arena_printf(&t->strings, "%s.%s", outer, namer->name) : NULL;
}

static uint64_t shape_of_type(const struct dies *d, uint64_t off, uint64_t h)
{
	const struct die *e = type_strip(d, off);

	for (int i = 0; i < MAX_TYPE_DEPTH && e && e->tag == DW_TAG_array_type; i++) {
		h = mix(h, type_array_count(d, e));
		e = type_strip(d, e->type);
	}
	if (!e)
		return mix(h, 1);
	h = mix(mix(mix(h, e->tag), e->size), e->encoding);
	return e->name && !die_is_pointer(e) ? mix(h, type_name_hash(e->name)) : h;
}

static uint64_t shape_of(const struct dies *d, const struct die *e)
{
	uint64_t h = mix(e->tag == DW_TAG_class_type ? DW_TAG_structure_type : e->tag,
			 e->size);

	for (const struct die *c = dies_child(d, e); c; c = dies_sibling(d, c)) {
		if (c->tag != DW_TAG_member && c->tag != DW_TAG_inheritance &&
		    c->tag != DW_TAG_enumerator)
			continue;
		h = mix(mix(mix(h, c->value), c->bit_size), c->bit_offset);
		if (c->name)
			h = mix(h, type_name_hash(c->name));
		if (c->type)
			h = shape_of_type(d, c->type, h);
	}
	return h;
}

// Open addressing by name; the definitions of one name hang behind the first.
static struct err *grow_names(struct type_side *s)
{
	size_t mask = s->name_mask ? s->name_mask * 2 + 1 : 255;
	uint32_t *table = malloc((mask + 1) * sizeof(*table));

	if (!table)
		return err_nomem();
	memset(table, 0xff, (mask + 1) * sizeof(*table));
	for (size_t i = 0; s->by_name && i <= s->name_mask; i++) {
		size_t k;

		if (s->by_name[i] == NO_TYPE)
			continue;
		k = type_name_hash(s->defs.v[s->by_name[i]].name) & mask;
		while (table[k] != NO_TYPE)
			k = (k + 1) & mask;
		table[k] = s->by_name[i];
	}
	free(s->by_name);
	s->by_name = table;
	s->name_mask = mask;
	return NULL;
}

static uint32_t *name_slot(const struct type_side *s, const char *name)
{
	size_t i = type_name_hash(name) & s->name_mask;

	while (s->by_name[i] != NO_TYPE && strcmp(s->defs.v[s->by_name[i]].name, name))
		i = (i + 1) & s->name_mask;
	return &s->by_name[i];
}

uint32_t type_named(const struct type_side *s, const char *name)
{
	return s->by_name ? *name_slot(s, name) : NO_TYPE;
}

static struct err *add_def(struct type_side *s, const struct type_def *def)
{
	uint32_t *slot, at = (uint32_t)s->defs.n, last = NO_TYPE;
	int same = 0;

	if (s->defs.n * 2 >= s->name_mask)
		TRY(grow_names(s));
	slot = name_slot(s, def->name);
	for (uint32_t i = *slot; i != NO_TYPE; i = s->defs.v[i].same_name) {
		last = i;
		if (same++ > MAX_SAME_NAME)
			return err_with(
				err_new(ERR_CORRUPT,
					"the debugging information defines %s more "
					"than %d times",
					def->name, MAX_SAME_NAME),
				"corrupt-elf", NULL);
		if (s->defs.v[i].shape == def->shape &&
		    !strcmp(s->defs.v[i].file, def->file)) {
			s->def_of[def->die] = i;
			return NULL;
		}
	}
	TRY(vec_push(&s->defs, *def));
	if (last == NO_TYPE)
		*slot = at;
	else
		s->defs.v[last].same_name = at;
	s->def_of[def->die] = at;
	return NULL;
}

struct err *types_collect(struct types *t, struct type_side *s)
{
	size_t n = s->d->dies.n + 1;

	s->def_of = malloc(n * sizeof(*s->def_of));
	s->namer = malloc(n * sizeof(*s->namer));
	if (!s->def_of || !s->namer)
		return err_nomem();
	memset(s->def_of, 0xff, n * sizeof(*s->def_of));
	memset(s->namer, 0xff, n * sizeof(*s->namer));
	TRY(grow_names(s));
	find_namers(s);
	vec_for_each(e, &s->d->dies) {
		struct type_def def = {
			.die = dies_index(s->d, e),
			.twin = NO_TYPE,
			.same_name = NO_TYPE,
			.via = NO_DIE,
		};

		if (!is_def(e))
			continue;
		def.name = def_name(t, s, e, 0);
		if (!def.name)
			continue;
		const char *file = path_base(dies_file(s->d, e));
		def.file = file ? file : "";
		def.shape = shape_of(s->d, e);
		TRY(add_def(s, &def));
	}
	return NULL;
}

void type_side_deinit(struct type_side *s)
{
	vec_free(&s->defs);
	free(s->def_of);
	free(s->namer);
	free(s->by_name);
	s->def_of = s->namer = s->by_name = NULL;
}

uint32_t type_def_of(const struct type_side *s, const struct die *e)
{
	uint32_t def = s->def_of[dies_index(s->d, e)];

	if (def != NO_TYPE || !(e->flags & DIE_DECLARATION) || !e->name)
		return def;
	return type_named(s, e->name);
}

const char *type_def_title(struct types *t, const struct type_side *s,
			   const struct type_def *def)
{
	const struct die *e = &s->d->dies.v[def->die];
	const char *keyword = e->tag == DW_TAG_structure_type ? "struct"
			      : e->tag == DW_TAG_class_type   ? "class"
			      : e->tag == DW_TAG_union_type   ? "union"
							      : "enum";

	if (!e->name)
		return def->name;
	return arena_printf(&t->strings, "%s %s", keyword, def->name);
}
