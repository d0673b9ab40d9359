// SPDX-License-Identifier: LGPL-2.1-or-later
// Abbreviation tables of .debug_abbrev, compiled so that entries of no interest are
// skipped in one step.
#include "elf/dies_internal.h"

#include <dwarf.h>

enum { MAX_CODE = 1 << 20 };

// Entries that carry types, variables, functions and the scopes around them.
static bool tag_is_kept(uint64_t tag)
{
	switch (tag) {
	case DW_TAG_compile_unit:
	case DW_TAG_partial_unit:
	case DW_TAG_type_unit:
	case DW_TAG_namespace:
	case DW_TAG_structure_type:
	case DW_TAG_class_type:
	case DW_TAG_union_type:
	case DW_TAG_enumeration_type:
	case DW_TAG_enumerator:
	case DW_TAG_typedef:
	case DW_TAG_base_type:
	case DW_TAG_unspecified_type:
	case DW_TAG_pointer_type:
	case DW_TAG_reference_type:
	case DW_TAG_rvalue_reference_type:
	case DW_TAG_ptr_to_member_type:
	case DW_TAG_const_type:
	case DW_TAG_volatile_type:
	case DW_TAG_restrict_type:
	case DW_TAG_atomic_type:
	case DW_TAG_array_type:
	case DW_TAG_subrange_type:
	case DW_TAG_subroutine_type:
	case DW_TAG_member:
	case DW_TAG_inheritance:
	case DW_TAG_variable:
	case DW_TAG_subprogram:
	case DW_TAG_lexical_block:
		return true;
	default:
		return false;
	}
}

static struct err *read_specs(struct cursor *c, const struct die_unit *unit,
			      struct abbrev_table *t, struct abbrev *a)
{
	int64_t fixed = 0;

	a->first = (uint32_t)t->specs.n;
	for (;;) {
		struct attr_spec s = {0};
		uint64_t name = cursor_uleb(c), form = cursor_uleb(c);
		int size;

		if (form == DW_FORM_implicit_const)
			s.implicit = cursor_sleb(c);
		if (c->bad || (!name && !form))
			break;
		s.name = name > UINT16_MAX ? 0 : (uint16_t)name;
		s.form = form > UINT16_MAX ? 0 : (uint16_t)form;
		TRY(vec_push(&t->specs, s));
		size = attr_fixed_size(unit, s.form);
		fixed = size < 0 || fixed < 0 ? -1 : fixed + size;
	}
	a->n = (uint32_t)t->specs.n - a->first;
	a->fixed = fixed > INT32_MAX ? -1 : (int32_t)fixed;
	return NULL;
}

struct err *abbrev_table_read(struct bytes section, uint64_t off,
			      const struct die_unit *unit, struct abbrev_table *ret)
{
	struct cursor c = cursor_from(section, off);

	ret->off = off;
	while (!c.bad) {
		struct abbrev a = {0};
		uint64_t code = cursor_uleb(&c), tag;

		if (!code)
			break;
		tag = cursor_uleb(&c);
		a.children = cursor_uint(&c, 1);
		a.tag = tag > UINT16_MAX || !tag ? UINT16_MAX : (uint16_t)tag;
		a.keep = tag_is_kept(tag);
		TRY(read_specs(&c, unit, ret, &a));
		// Compilers count from 1, so that there are fewer codes than bytes.
		if (code > MAX_CODE || code > section.n)
			return err_new(ERR_CORRUPT, "abbreviation code %#lx is too large",
				       code);
		if (code >= ret->codes.n) {
			size_t more = code + 1 - ret->codes.n;

			TRY(vec_reserve(&ret->codes, more));
			memset(ret->codes.v + ret->codes.n, 0, more * sizeof(a));
			ret->codes.n += more;
		}
		ret->codes.v[code] = a;
	}
	return c.bad ? err_new(ERR_CORRUPT, "abbreviation table at %#lx is cut off", off)
		     : NULL;
}

void abbrev_table_deinit(struct abbrev_table *t)
{
	vec_free(&t->codes);
	vec_free(&t->specs);
}
