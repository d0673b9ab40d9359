// SPDX-License-Identifier: LGPL-2.1-or-later
// All location descriptions of a module: those in entries, and those in location lists that entries name
// (DWARF 5 section 7.7.3, DWARF 4 section 2.6.2).
#include <dwarf.h>
#include <stdlib.h>

#include "elf/rebind_internal.h"
#include "util/cleanup.h"

struct walk {
	struct rebind_dwarf *r;
	const struct dies *d;
	const struct die_unit *u;
	struct patched *s; // .debug_info or .debug_types
	struct abbrev_table table;
	bool has_table;
	uint8_t table_version; // of the unit for which it was read
	uint64_t loclists_base;
};

// The descriptions of one list of .debug_loc.
static void rebind_loc(const struct walk *w, uint64_t off)
{
	struct patched *s = &w->r->loc;
	struct cursor c = cursor_from(s->in, off);

	while (!c.bad) {
		uint64_t start = cursor_uint(&c, 8), end = cursor_uint(&c, 8);

		if (c.bad || (!start && !end))
			return;
		if (start == UINT64_MAX)
			continue;
		struct bytes expr = {NULL, cursor_uint(&c, 2)};
		expr.p = c.p;
		cursor_skip(&c, expr.n);
		if (!c.bad)
			rebind_expression(w->r, w->u, s, expr);
	}
}

// The operands of an entry of .debug_loclists; *expr: a description follows. False at the end.
static bool skip_lle(struct cursor *c, bool *expr)
{
	uint64_t kind = cursor_uint(c, 1);

	*expr = true;
	switch (kind) {
	case DW_LLE_base_addressx:
		cursor_uleb(c);
		*expr = false;
		break;
	case DW_LLE_base_address:
		cursor_skip(c, 8);
		*expr = false;
		break;
	case DW_LLE_GNU_view_pair:
		*expr = false;
		cursor_uleb(c);
		cursor_uleb(c);
		break;
	case DW_LLE_startx_endx:
	case DW_LLE_startx_length:
	case DW_LLE_offset_pair:
		cursor_uleb(c);
		cursor_uleb(c);
		break;
	case DW_LLE_default_location:
		break;
	case DW_LLE_start_end:
		cursor_skip(c, 16);
		break;
	case DW_LLE_start_length:
		cursor_skip(c, 8);
		cursor_uleb(c);
		break;
	default: // DW_LLE_end_of_list and what nobody has defined
		return false;
	}
	return !c->bad;
}

static void rebind_loclist(const struct walk *w, uint64_t off)
{
	struct patched *s = &w->r->loclists;
	struct cursor c = cursor_from(s->in, off);
	bool has_expr;

	while (!c.bad && skip_lle(&c, &has_expr)) {
		if (!has_expr)
			continue;
		struct bytes expr = {NULL, cursor_uleb(&c)};
		expr.p = c.p;
		cursor_skip(&c, expr.n);
		if (!c.bad)
			rebind_expression(w->r, w->u, s, expr);
	}
}

static void rebind_list(const struct walk *w, const struct attr_value *v)
{
	uint64_t off = v->u;

	if (w->u->version < 5) {
		rebind_loc(w, off);
		return;
	}
	if (v->form == DW_FORM_loclistx) {
		uint64_t at;

		if (__builtin_mul_overflow(off, w->u->offset_size, &at) ||
		    __builtin_add_overflow(at, w->loclists_base, &at))
			return;
		struct cursor c = cursor_at(w->r->loclists.in, at, w->u->offset_size);
		off = cursor_uint(&c, w->u->offset_size);
		if (c.bad || __builtin_add_overflow(off, w->loclists_base, &off))
			return;
	}
	rebind_loclist(w, off);
}

static bool may_be_list(const struct walk *w, uint16_t name, uint16_t form)
{
	switch (name) {
	case DW_AT_location:
	case DW_AT_return_addr:
	case DW_AT_frame_base:
	case DW_AT_static_link:
	case DW_AT_use_location:
		break;
	default:
		return false;
	}
	return form == DW_FORM_sec_offset || form == DW_FORM_loclistx ||
	       (w->u->version < 4 && (form == DW_FORM_data4 || form == DW_FORM_data8));
}

// Before DWARF 4 a description is a block like any other: only the attribute tells.
static bool is_expression(uint16_t name, uint16_t form)
{
	switch (form) {
	case DW_FORM_exprloc:
		return true;
	case DW_FORM_block:
	case DW_FORM_block1:
	case DW_FORM_block2:
	case DW_FORM_block4:
		return name == DW_AT_location || name == DW_AT_frame_base ||
		       name == DW_AT_GNU_call_site_value ||
		       name == DW_AT_GNU_call_site_target;
	default:
		return false;
	}
}

static void rebind_entry(struct walk *w, struct cursor *c, const struct abbrev *a)
{
	for (uint32_t i = 0; i < a->n && !c->bad; i++) {
		const struct attr_spec *spec = &w->table.specs.v[a->first + i];
		struct attr_value v;

		attr_read(w->d, w->u, c, spec, &v);
		if (c->bad)
			return;
		if (spec->name == DW_AT_loclists_base)
			w->loclists_base = v.u;
		else if (v.block.p && is_expression(spec->name, v.form))
			rebind_expression(w->r, w->u, w->s, v.block);
		else if (may_be_list(w, spec->name, v.form))
			rebind_list(w, &v);
	}
}

static struct err *unit_table(struct walk *w)
{
	const struct die_unit *u = w->u;
	uint64_t bias = w->d->sources[u->source].bias;
	struct cursor c = cursor_from(w->s->in, u->off - bias);

	cursor_skip(&c, (u->offset_size == 8 ? 12 : 4) + 2 + (u->version >= 5 ? 2 : 0));
	uint64_t off = cursor_uint(&c, u->offset_size);
	if (c.bad)
		return err_new(ERR_CORRUPT, "unit at %#lx is cut off", u->off);
	if (w->has_table && w->table.off == off && w->table_version == u->version)
		return NULL;
	abbrev_table_deinit(&w->table);
	w->table = (struct abbrev_table){};
	w->has_table = true;
	w->table_version = u->version;
	return abbrev_table_read(w->d->sources[u->source].abbrev, off, u, &w->table);
}

static struct err *rebind_unit(struct walk *w)
{
	const struct die_unit *u = w->u;
	uint64_t bias = w->d->sources[u->source].bias;
	size_t depth = 0;

	// A unit may be empty.
	if (u->die >= w->d->dies.n || w->d->dies.v[u->die].off >= u->end)
		return NULL;
	uint64_t first = w->d->dies.v[u->die].off;
	struct cursor c = cursor_at(w->s->in, first - bias, u->end - first);

	TRY(unit_table(w));
	w->loclists_base = u->offset_size == 8 ? 20 : 12; // behind the section's head
	do {
		uint64_t code = cursor_uleb(&c);

		if (!code) {
			depth -= depth > 0;
			continue;
		}
		if (code >= w->table.codes.n || !w->table.codes.v[code].tag)
			return err_new(ERR_CORRUPT, "unit at %#lx has no abbreviation %lu",
				       u->off, code);
		const struct abbrev *a = &w->table.codes.v[code];

		rebind_entry(w, &c, a);
		depth += a->children;
	} while (!c.bad && depth && c.p < c.end);
	return c.bad ? err_new(ERR_CORRUPT, "unit at %#lx is cut off", u->off) : NULL;
}

struct err *rebind_dwarf(struct rebind_dwarf *r)
{
	_cleanup_(dies_freep) struct dies *d = NULL;
	struct err *e = NULL;

	TRY(dies_read(r->m, &d));
	struct walk w = {.r = r, .d = d};
	vec_for_each(u, &d->units) {
		w.s = u->source == 0 ? &r->info : &r->types;
		// dwz's shared part, the last source, holds nothing that has an address.
		if (u->source > 1 || !w.s->out)
			continue;
		w.u = u;
		e = rebind_unit(&w);
		if (e)
			break;
	}
	abbrev_table_deinit(&w.table);
	return e;
}
