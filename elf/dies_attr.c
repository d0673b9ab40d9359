// SPDX-License-Identifier: LGPL-2.1-or-later
// Attribute values of every DWARF 2 to 5 form (DWARF 5 section 7.5.6, and the GNU forms
// that dwz uses).
#include "elf/dies_internal.h"

#include <dwarf.h>

int attr_fixed_size(const struct die_unit *u, uint16_t form)
{
	switch (form) {
	case DW_FORM_flag_present:
	case DW_FORM_implicit_const:
		return 0;
	case DW_FORM_data1:
	case DW_FORM_ref1:
	case DW_FORM_flag:
	case DW_FORM_strx1:
	case DW_FORM_addrx1:
		return 1;
	case DW_FORM_data2:
	case DW_FORM_ref2:
	case DW_FORM_strx2:
	case DW_FORM_addrx2:
		return 2;
	case DW_FORM_strx3:
	case DW_FORM_addrx3:
		return 3;
	case DW_FORM_data4:
	case DW_FORM_ref4:
	case DW_FORM_ref_sup4:
	case DW_FORM_strx4:
	case DW_FORM_addrx4:
		return 4;
	case DW_FORM_data8:
	case DW_FORM_ref8:
	case DW_FORM_ref_sig8:
	case DW_FORM_ref_sup8:
		return 8;
	case DW_FORM_data16:
		return 16;
	case DW_FORM_addr:
		return u->address_size;
	case DW_FORM_ref_addr:
		return u->version < 3 ? u->address_size : u->offset_size;
	case DW_FORM_strp:
	case DW_FORM_line_strp:
	case DW_FORM_strp_sup:
	case DW_FORM_sec_offset:
	case DW_FORM_GNU_ref_alt:
	case DW_FORM_GNU_strp_alt:
		return u->offset_size;
	default:
		return -1;
	}
}

// String sections were cut behind their last NUL, so whatever starts inside ends inside.
static const char *section_string(struct bytes b, uint64_t off)
{
	return off < b.n ? (const char *)b.p + off : NULL;
}

static const char *indexed_string(const struct dies *d, const struct die_unit *u,
				  uint64_t index)
{
	const struct die_source *s = &d->sources[u->source];
	uint64_t at;
	struct cursor c;

	if (__builtin_mul_overflow(index, u->offset_size, &at) ||
	    __builtin_add_overflow(at, u->str_offsets_base, &at))
		return NULL;
	c = cursor_at(s->str_offsets, at, u->offset_size);
	at = cursor_uint(&c, u->offset_size);
	return c.bad ? NULL : section_string(s->str, at);
}

uint64_t attr_indexed_address(const struct dies *d, const struct die_unit *u,
			      uint64_t index)
{
	uint64_t at;
	struct cursor c;

	if (__builtin_mul_overflow(index, u->address_size, &at) ||
	    __builtin_add_overflow(at, u->addr_base, &at))
		return 0;
	c = cursor_at(d->sources[u->source].addr, at, u->address_size);
	return cursor_uint(&c, u->address_size);
}

static void read_block(struct cursor *c, uint64_t len, struct attr_value *v)
{
	if (!cursor_has(c, len))
		return;
	v->block = (struct bytes){c->p, len};
	c->p += len;
}

// Forms whose value is a number of fixed size, as attr_fixed_size() knows it.
static void resolve_fixed(const struct dies *d, const struct die_unit *u,
			  struct attr_value *v)
{
	const struct die_source *s = &d->sources[u->source];

	switch (v->form) {
	case DW_FORM_ref1:
	case DW_FORM_ref2:
	case DW_FORM_ref4:
	case DW_FORM_ref8:
		v->u += u->off;
		break;
	case DW_FORM_ref_addr:
		// Units of .debug_types point into .debug_info, which has bias 0.
		v->u += u->source == 2 ? s->bias : 0;
		break;
	case DW_FORM_ref_sup4:
	case DW_FORM_ref_sup8:
	case DW_FORM_GNU_ref_alt:
		v->u += d->alt_bias;
		break;
	case DW_FORM_ref_sig8:
		v->is_sig = true;
		break;
	case DW_FORM_strp:
		v->str = section_string(s->str, v->u);
		break;
	case DW_FORM_line_strp:
		v->str = section_string(s->line_str, v->u);
		break;
	case DW_FORM_strp_sup:
	case DW_FORM_GNU_strp_alt:
		v->str = section_string(d->sources[2].str, v->u);
		break;
	case DW_FORM_strx1:
	case DW_FORM_strx2:
	case DW_FORM_strx3:
	case DW_FORM_strx4:
		v->str = indexed_string(d, u, v->u);
		break;
	case DW_FORM_addrx1:
	case DW_FORM_addrx2:
	case DW_FORM_addrx3:
	case DW_FORM_addrx4:
		v->u = attr_indexed_address(d, u, v->u);
		break;
	default:
		break;
	}
}

static void read_variable(const struct dies *d, const struct die_unit *u, struct cursor *c,
			  const struct attr_spec *spec, struct attr_value *v)
{
	struct attr_spec inner = {.name = spec->name};
	uint64_t form;

	switch (v->form) {
	case DW_FORM_string:
		v->str = cursor_string(c);
		break;
	case DW_FORM_udata:
	case DW_FORM_loclistx:
	case DW_FORM_rnglistx:
		v->u = cursor_uleb(c);
		break;
	case DW_FORM_sdata:
		v->u = (uint64_t)cursor_sleb(c);
		break;
	case DW_FORM_ref_udata:
		v->u = u->off + cursor_uleb(c);
		break;
	case DW_FORM_strx:
		v->str = indexed_string(d, u, cursor_uleb(c));
		break;
	case DW_FORM_addrx:
		v->u = attr_indexed_address(d, u, cursor_uleb(c));
		break;
	case DW_FORM_block1:
		read_block(c, cursor_uint(c, 1), v);
		break;
	case DW_FORM_block2:
		read_block(c, cursor_uint(c, 2), v);
		break;
	case DW_FORM_block4:
		read_block(c, cursor_uint(c, 4), v);
		break;
	case DW_FORM_block:
	case DW_FORM_exprloc:
		read_block(c, cursor_uleb(c), v);
		break;
	case DW_FORM_indirect:
		form = cursor_uleb(c);
		if (form > UINT16_MAX || form == DW_FORM_indirect ||
		    form == DW_FORM_implicit_const) {
			cursor_fail(c);
			break;
		}
		inner.form = (uint16_t)form;
		attr_read(d, u, c, &inner, v);
		break;
	default:
		cursor_fail(c);
	}
}

void attr_read(const struct dies *d, const struct die_unit *u, struct cursor *c,
	       const struct attr_spec *spec, struct attr_value *v)
{
	int size = attr_fixed_size(u, spec->form);

	*v = (struct attr_value){.form = spec->form};
	if (size > 8) {
		read_block(c, (uint64_t)size, v);
	} else if (spec->form == DW_FORM_implicit_const) {
		v->u = (uint64_t)spec->implicit;
	} else if (spec->form == DW_FORM_flag_present) {
		v->u = 1;
	} else if (size >= 0) {
		v->u = cursor_uint(c, (unsigned)size);
		resolve_fixed(d, u, v);
	} else {
		read_variable(d, u, c, spec, v);
	}
}
