// SPDX-License-Identifier: LGPL-2.1-or-later
// Fills one entry from its attributes.
#include "elf/dies_internal.h"

#include <dwarf.h>

// A location that is one fixed address, or one offset in the TLS segment.
static void read_location(const struct dies *d, const struct die_unit *u,
			  struct bytes block, struct die *e)
{
	struct cursor c = cursor_at(block, 0, block.n);
	uint64_t op = cursor_uint(&c, 1), v = 0;

	if (op == DW_OP_addr)
		v = cursor_uint(&c, u->address_size);
	else if (op == DW_OP_addrx || op == DW_OP_constx || op == DW_OP_GNU_addr_index ||
		 op == DW_OP_GNU_const_index)
		v = attr_indexed_address(d, u, cursor_uleb(&c));
	else if (op == DW_OP_const8u)
		v = cursor_uint(&c, 8);
	else if (op == DW_OP_const4u)
		v = cursor_uint(&c, 4);
	else
		return;
	if (c.bad)
		return;
	if (c.p == c.end &&
	    (op == DW_OP_addr || op == DW_OP_addrx || op == DW_OP_GNU_addr_index)) {
		e->flags |= DIE_STATIC;
		e->value = v;
		return;
	}
	op = cursor_uint(&c, 1);
	if (c.bad || (op != DW_OP_form_tls_address && op != DW_OP_GNU_push_tls_address))
		return;
	e->flags |= DIE_STATIC | DIE_TLS;
	e->value = v;
}

static void read_member_location(const struct attr_value *v, struct die *e)
{
	struct cursor c;

	if (!v->block.p) {
		e->value = v->u;
		e->flags |= DIE_VALUE;
		return;
	}
	c = cursor_at(v->block, 0, v->block.n);
	if (cursor_uint(&c, 1) != DW_OP_plus_uconst)
		return;
	e->value = cursor_uleb(&c);
	if (!c.bad)
		e->flags |= DIE_VALUE;
}

static uint32_t clamp32(uint64_t v)
{
	return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

static void read_flags(const struct attr_spec *spec, const struct attr_value *v,
		       struct die *e)
{
	if (!v->u)
		return;
	if (spec->name == DW_AT_declaration)
		e->flags |= DIE_DECLARATION;
	else if (spec->name == DW_AT_external)
		e->flags |= DIE_EXTERNAL;
	else
		e->flags |= DIE_ARTIFICIAL;
}

static void read_bits(const struct attr_spec *spec, const struct attr_value *v,
		      struct die *e)
{
	if (spec->name == DW_AT_bit_size) {
		e->bit_size = clamp32(v->u);
		return;
	}
	e->bit_offset = (uint32_t)v->u; // negative ones wrap, member_bits() undoes it
	e->flags |= spec->name == DW_AT_bit_offset ? DIE_BITS_DWARF2 : DIE_BITS_DWARF4;
}

static void read_unit_attr(const struct attr_spec *spec, const struct attr_value *v,
			   struct die_unit *u)
{
	switch (spec->name) {
	case DW_AT_comp_dir:
		u->comp_dir = v->str;
		break;
	case DW_AT_producer:
		u->producer = v->str;
		break;
	case DW_AT_stmt_list:
		u->line_offset = v->u;
		u->has_line = true;
		break;
	default:
		break;
	}
}

// What the entry is called, where it is declared and what it leads to.
static bool read_identity(const struct attr_spec *spec, const struct attr_value *v,
			  struct draft *t)
{
	struct die *e = &t->e;

	switch (spec->name) {
	case DW_AT_name:
		e->name = v->str;
		return true;
	case DW_AT_linkage_name:
	case DW_AT_MIPS_linkage_name:
		e->linkage_name = v->str;
		return true;
	case DW_AT_type:
		e->type = v->u;
		t->type_is_sig = v->is_sig;
		return true;
	case DW_AT_abstract_origin:
	case DW_AT_specification:
	case DW_AT_signature: // a declaration that stands for the definition in a type unit
		e->origin = v->u;
		t->origin_is_sig = v->is_sig;
		return true;
	case DW_AT_decl_file:
		e->decl_file = clamp32(v->u);
		return true;
	case DW_AT_decl_line:
		e->decl_line = clamp32(v->u);
		return true;
	case DW_AT_declaration:
	case DW_AT_external:
	case DW_AT_artificial:
		read_flags(spec, v, e);
		return true;
	default:
		return false;
	}
}

static void read_value(uint64_t value, struct die *e)
{
	e->value = value;
	e->flags |= DIE_VALUE;
}

static void read_vtable_slot(const struct attr_value *v, struct die *e)
{
	if (v->block.n < 2 || v->block.p[0] != DW_OP_constu)
		return;
	struct cursor c = cursor_at(v->block, 1, v->block.n - 1);
	e->vtable_slot = clamp32(cursor_uleb(&c)) + 1;
}

// Sizes, places and values of types, members and enumerators.
static bool read_layout(const struct attr_spec *spec, const struct attr_value *v,
			struct die *e)
{
	switch (spec->name) {
	case DW_AT_byte_size:
		if (v->block.p)
			return true;
		e->size = v->u;
		e->flags |= DIE_SIZE;
		return true;
	case DW_AT_data_member_location:
		read_member_location(v, e);
		return true;
	case DW_AT_const_value:
	case DW_AT_count:
		if (!v->block.p && !v->str && e->tag != DW_TAG_variable)
			read_value(v->u, e);
		return true;
	case DW_AT_upper_bound:
		if (!v->block.p && v->u != UINT64_MAX &&
		    (v->u <= INT64_MAX || v->form == DW_FORM_data8))
			read_value(v->u + 1, e);
		return true;
	case DW_AT_bit_size:
	case DW_AT_bit_offset:
	case DW_AT_data_bit_offset:
		read_bits(spec, v, e);
		return true;
	case DW_AT_encoding:
		e->encoding = (uint8_t)v->u;
		return true;
	case DW_AT_virtuality:
		e->virtuality = (uint8_t)v->u;
		return true;
	case DW_AT_vtable_elem_location:
		read_vtable_slot(v, e);
		return true;
	default:
		return false;
	}
}

// Where its code or its static storage is.
static bool read_address(const struct attr_spec *spec, const struct attr_value *v,
			 struct draft *t)
{
	switch (spec->name) {
	case DW_AT_low_pc:
		t->has_low = true;
		if (!(t->e.flags & DIE_STATIC))
			t->e.value = v->u;
		return true;
	case DW_AT_high_pc:
		t->has_high = true;
		t->high_is_offset =
			v->form != DW_FORM_addr && v->form != DW_FORM_addrx &&
			!(v->form >= DW_FORM_addrx1 && v->form <= DW_FORM_addrx4);
		t->high_pc = v->u;
		return true;
	case DW_AT_ranges:
		t->has_ranges = true;
		t->ranges_indexed = v->form == DW_FORM_rnglistx;
		t->ranges = v->u;
		return true;
	default:
		return false;
	}
}

void draft_attr(const struct dies *d, struct die_unit *u, const struct attr_spec *spec,
		const struct attr_value *v, struct draft *t)
{
	if (spec->name == DW_AT_location) {
		if (v->block.p)
			read_location(d, u, v->block, &t->e);
		return;
	}
	if (!read_identity(spec, v, t) && !read_layout(spec, v, &t->e) &&
	    !read_address(spec, v, t) && t->is_unit)
		read_unit_attr(spec, v, u);
}

void draft_finish_code(const struct dies *d, const struct die_unit *u, struct draft *t)
{
	uint64_t at = t->ranges;

	if (t->e.tag != DW_TAG_subprogram)
		return;
	if (!t->has_low && t->has_ranges) {
		if (t->ranges_indexed)
			at = range_list_offset(d, u, at);
		t->has_low = range_list_start(d, u, at, &t->e.value);
	} else if (!t->has_high) {
		t->has_low = false;
	}
	if (t->has_low && t->e.value)
		t->e.flags |= DIE_CODE;
}
