// SPDX-License-Identifier: LGPL-2.1-or-later
// The pass over .debug_info that fills the array of entries.
#include "elf/dies_internal.h"

#include <dwarf.h>

enum { MAX_NESTING = 512 };

struct signature {
	uint64_t sig, type_off;
};

struct scan {
	struct dies *d;
	VEC(struct abbrev_table) tables;
	uint32_t *slots; // open hash of tables by their offset, index + 1
	size_t n_slots;
	size_t last_table;
	uint64_t abbrev_entries; // of all tables
	uint64_t name_bytes;	 // of all entries
	VEC(struct signature) signatures;
	VEC(uint32_t) sig_users; // entries whose `type` is still a signature
};

// What the names of entries may have together, on average. C++ writes names of kilobytes, but not for all.
enum { MAX_AVERAGE_NAME = 4096 };

static uint32_t *table_slot(const struct scan *s, uint64_t key)
{
	size_t mask = s->n_slots - 1, i = (key * 0x9e3779b97f4a7c15u >> 32) & mask;

	while (s->slots[i] && s->tables.v[s->slots[i] - 1].off != key)
		i = (i + 1) & mask;
	return &s->slots[i];
}

static struct err *grow_slots(struct scan *s)
{
	if (s->tables.n * 2 < s->n_slots)
		return NULL;
	free(s->slots);
	s->n_slots = s->n_slots ? s->n_slots * 2 : 64;
	s->slots = calloc(s->n_slots, sizeof(*s->slots));
	if (!s->slots)
		return err_nomem();
	for (size_t i = 0; i < s->tables.n; i++)
		*table_slot(s, s->tables.v[i].off) = (uint32_t)i + 1;
	return NULL;
}

static struct err *read_table(struct scan *s, const struct die_unit *u, uint64_t off,
			      uint64_t key)
{
	struct bytes section = s->d->sources[u->source].abbrev;
	struct abbrev_table t = {0};
	struct err *e = abbrev_table_read(section, off, u, &t);

	// Tables do not overlap, but each may be read for four shapes of units.
	s->abbrev_entries += t.codes.n + t.specs.n;
	if (!e && s->abbrev_entries > 4 * (uint64_t)section.n + 64)
		e = err_new(ERR_CORRUPT, "the abbreviation tables overlap at %#lx", off);
	t.off = key;
	if (!e)
		e = vec_push(&s->tables, t);
	if (e)
		abbrev_table_deinit(&t);
	return e;
}

static struct err *find_table(struct scan *s, const struct die_unit *u, uint64_t off,
			      const struct abbrev_table **ret)
{
	// The same bytes mean another table for a unit of another shape or file.
	uint64_t key = off * 8 + (u->source == 2) * 4 + (u->offset_size == 8) * 2 +
		       (u->version < 3);
	uint32_t *slot;

	if (s->last_table >= s->tables.n || s->tables.v[s->last_table].off != key) {
		TRY(grow_slots(s));
		slot = table_slot(s, key);
		if (!*slot) {
			TRY(read_table(s, u, off, key));
			*slot = (uint32_t)s->tables.n;
		}
		s->last_table = *slot - 1;
	}
	*ret = &s->tables.v[s->last_table];
	return NULL;
}

// Variables of frames are of use only for their name (scopes of static ones) and their
// type.
static bool wanted(const struct die *e)
{
	return e->tag != DW_TAG_variable || e->name || (e->flags & DIE_STATIC);
}

static struct err *push_die(struct scan *s, struct draft *t, bool *pushed)
{
	struct dies *d = s->d;
	uint32_t index = (uint32_t)d->dies.n;

	*pushed = wanted(&t->e);
	if (!*pushed)
		return NULL;
	if (t->e.name)
		s->name_bytes += strlen(t->e.name);
	if (t->e.linkage_name)
		s->name_bytes += strlen(t->e.linkage_name);
	if (s->name_bytes / MAX_AVERAGE_NAME > d->dies.n + 64)
		return err_new(ERR_CORRUPT,
			       "the names of debugging entries are too long");
	if (d->dies.n >= NO_DIE)
		return err_new(ERR_UNSUPPORTED, "more than 4294967294 debugging entries");
	if (t->type_is_sig || t->origin_is_sig)
		TRY(vec_push(&s->sig_users, index));
	return vec_push(&d->dies, t->e);
}

// The bases that indexed forms need stand in the same entry as their first users.
static void read_unit_bases(const struct dies *d, struct die_unit *u, struct cursor c,
			    const struct abbrev_table *table, const struct abbrev *a)
{
	for (uint32_t i = 0; i < a->n && !c.bad; i++) {
		const struct attr_spec *spec = &table->specs.v[a->first + i];
		struct attr_value v;

		attr_read(d, u, &c, spec, &v);
		if (spec->name == DW_AT_str_offsets_base)
			u->str_offsets_base = v.u;
		else if (spec->name == DW_AT_addr_base ||
			 spec->name == DW_AT_GNU_addr_base)
			u->addr_base = v.u;
		else if (spec->name == DW_AT_rnglists_base)
			u->rnglists_base = v.u;
	}
}

static struct err *finish_unit(struct scan *s, struct die_unit *u, const struct draft *t)
{
	u->name = t->e.name;
	u->low_pc = t->has_low ? t->e.value : 0;
	if (t->has_low && t->has_high)
		u->high_pc = t->high_is_offset ? u->low_pc + t->high_pc : t->high_pc;
	u->has_ranges = t->has_ranges;
	u->ranges = t->ranges_indexed ? range_list_offset(s->d, u, t->ranges) : t->ranges;
	return unit_files_read(s->d, u);
}

struct level {
	uint32_t self;	 // index of the entry whose children are read, NO_DIE when it was
			 // not kept
	uint32_t parent; // nearest kept entry, for its children
	bool local;
};

static struct err *read_die(struct scan *s, struct die_unit *u, struct cursor *c,
			    const struct abbrev_table *table, const struct abbrev *a,
			    const struct level *up, uint64_t off, bool *pushed)
{
	struct draft t = {
		.e = {.off = off,
		      .tag = a->tag,
		      .parent = up->parent,
		      .unit = (uint32_t)s->d->units.n,
		      .flags = up->local ? DIE_LOCAL : 0},
		.is_unit = up->parent == NO_DIE,
	};

	if (t.is_unit)
		read_unit_bases(s->d, u, *c, table, a);
	for (uint32_t i = 0; i < a->n; i++) {
		const struct attr_spec *spec = &table->specs.v[a->first + i];
		struct attr_value v;

		attr_read(s->d, u, c, spec, &v);
		draft_attr(s->d, u, spec, &v, &t);
	}
	draft_finish_code(s->d, u, &t);
	if (t.is_unit)
		TRY(finish_unit(s, u, &t));
	return push_die(s, &t, pushed);
}

static void skip_die(const struct dies *d, const struct die_unit *u, struct cursor *c,
		     const struct abbrev_table *table, const struct abbrev *a)
{
	if (a->fixed >= 0) {
		cursor_skip(c, (uint64_t)a->fixed);
		return;
	}
	for (uint32_t i = 0; i < a->n; i++) {
		struct attr_value v;

		attr_read(d, u, c, &table->specs.v[a->first + i], &v);
	}
}

static struct err *scan_entries(struct scan *s, struct die_unit *u, struct cursor c,
				const struct abbrev_table *table)
{
	struct dies *d = s->d;
	const struct die_source *src = &d->sources[u->source];
	struct level stack[MAX_NESTING] = {{.self = NO_DIE, .parent = NO_DIE}};
	size_t depth = 0;

	while (c.p < c.end) {
		uint64_t off = src->bias + (uint64_t)(c.p - src->info.p);
		uint64_t code = cursor_uleb(&c);
		const struct abbrev *a;
		bool pushed = false;
		uint32_t self;

		if (!code) { // end of the children of the level
			if (!depth)
				break;
			if (stack[depth].self != NO_DIE)
				d->dies.v[stack[depth].self].next = (uint32_t)d->dies.n;
			if (!--depth)
				break;
			continue;
		}
		if (code >= table->codes.n || !table->codes.v[code].tag)
			return err_new(ERR_CORRUPT,
				       "debugging entry %#lx has no abbreviation %lu",
				       off, code);
		a = &table->codes.v[code];
		self = (uint32_t)d->dies.n;
		if (a->keep || !depth)
			TRY(read_die(s, u, &c, table, a, &stack[depth], off, &pushed));
		else
			skip_die(d, u, &c, table, a);
		if (c.bad)
			return err_new(ERR_CORRUPT,
				       "debugging entry %#lx is cut off or has an "
				       "unknown form",
				       off);
		if (pushed)
			d->dies.v[self].next = self + 1;
		if (a->children) {
			if (depth + 1 >= MAX_NESTING)
				return err_new(ERR_CORRUPT,
					       "debugging entry %#lx is nested too deep",
					       off);
			stack[depth + 1] = (struct level){
				.self = pushed ? self : NO_DIE,
				.parent = pushed ? self : stack[depth].parent,
				.local = stack[depth].local || a->tag == DW_TAG_subprogram,
			};
			depth++;
		} else if (!depth) {
			break;
		}
	}
	for (; depth; depth--)
		if (stack[depth].self != NO_DIE)
			d->dies.v[stack[depth].self].next = (uint32_t)d->dies.n;
	return NULL;
}

struct unit_head {
	uint64_t abbrev, signature, type_off;
	bool has_signature, skip;
};

// Reads a unit's header; the cursor then stands at its first entry.
static struct err *unit_head(const struct die_source *src, struct cursor *c,
			     struct die_unit *u, struct unit_head *h)
{
	uint64_t start = (uint64_t)(c->p - src->info.p), length, kind = DW_UT_compile;

	u->off = src->bias + start;
	length = cursor_uint(c, 4);
	u->offset_size = length == UINT32_MAX ? 8 : 4;
	if (length == UINT32_MAX)
		length = cursor_uint(c, 8);
	if (!cursor_has(c, length) || length < 7)
		return err_new(ERR_CORRUPT, "unit at %#lx of .debug_info is cut off",
			       start);
	c->end = c->p + length;
	u->end = src->bias + (uint64_t)(c->end - src->info.p);
	u->version = (uint8_t)cursor_uint(c, 2);
	if (u->version < 2 || u->version > 5)
		return err_new(ERR_UNSUPPORTED,
			       "unit at %#lx of .debug_info has version %u", start,
			       u->version);
	if (u->version == 5) {
		kind = cursor_uint(c, 1);
		u->address_size = (uint8_t)cursor_uint(c, 1);
	}
	h->abbrev = cursor_uint(c, u->offset_size);
	if (u->version < 5)
		u->address_size = (uint8_t)cursor_uint(c, 1);
	h->has_signature = kind == DW_UT_type || (u->source == 1 && u->version < 5);
	h->skip = kind == DW_UT_skeleton || kind == DW_UT_split_compile ||
		  kind == DW_UT_split_type;
	if (h->has_signature) {
		h->signature = cursor_uint(c, 8);
		h->type_off = u->off + cursor_uint(c, u->offset_size);
	}
	u->str_offsets_base = u->offset_size == 8 ? 16 : 8;
	if (c->bad || (u->address_size != 8 && u->address_size != 4))
		return err_new(ERR_CORRUPT, "unit at %#lx of .debug_info has a bad head",
			       start);
	return NULL;
}

static struct err *scan_source(struct scan *s, uint8_t source)
{
	const struct die_source *src = &s->d->sources[source];
	struct cursor all = cursor_from(src->info, 0);

	while (all.p < all.end) {
		struct die_unit u = {.source = source, .die = (uint32_t)s->d->dies.n};
		struct cursor c = all;
		struct unit_head h = {0};
		const struct abbrev_table *table;

		TRY(unit_head(src, &c, &u, &h));
		all.p = c.end;
		if (h.skip)
			continue;
		TRY(find_table(s, &u, h.abbrev, &table));
		if (h.has_signature)
			TRY(vec_push(&s->signatures,
				     (struct signature){h.signature, h.type_off}));
		TRY(scan_entries(s, &u, c, table));
		TRY(vec_push(&s->d->units, u));
	}
	return NULL;
}

static int compare_signatures(const void *a, const void *b)
{
	const struct signature *x = a, *y = b;

	return x->sig < y->sig ? -1 : x->sig > y->sig;
}

static uint64_t signature_type(struct scan *s, uint64_t sig)
{
	struct signature key = {.sig = sig}, *hit = NULL;

	if (s->signatures.n)
		hit = bsearch(&key, s->signatures.v, s->signatures.n, sizeof(key),
			      compare_signatures);
	return hit ? hit->type_off : 0;
}

static void resolve_signatures(struct scan *s)
{
	if (s->signatures.n)
		qsort(s->signatures.v, s->signatures.n, sizeof(*s->signatures.v),
		      compare_signatures);
	vec_for_each(i, &s->sig_users) {
		struct die *e = &s->d->dies.v[*i];

		// An entry has either; signatures are hashes, so a stray offset does not
		// match.
		if (e->type)
			e->type = signature_type(s, e->type) ? signature_type(s, e->type)
							     : e->type;
		if (e->origin)
			e->origin = signature_type(s, e->origin)
					    ? signature_type(s, e->origin)
					    : e->origin;
	}
}

struct err *dies_scan(struct dies *d)
{
	struct scan s = {.d = d};
	struct err *e = NULL;

	// About one kept entry for each 24 bytes: saves most of the copying while it
	// grows.
	e = vec_reserve(&d->dies, d->sources[0].info.n / 24 + 16);
	for (uint8_t i = 0; i < DIE_SOURCES && !e; i++)
		e = scan_source(&s, i);
	if (!e)
		resolve_signatures(&s);
	vec_for_each(t, &s.tables)
		abbrev_table_deinit(t);
	vec_free(&s.tables);
	free(s.slots);
	vec_free(&s.signatures);
	vec_free(&s.sig_users);
	return e;
}
