// SPDX-License-Identifier: LGPL-2.1-or-later
// The scalar members of a type, for merging its data member by member.
#pragma once

#include "elf/dwarf_info.h"

struct type_field {
	uint64_t offset, size; // in bytes from the start of the type
	bool is_string;	       // an array of characters: one unit
	bool is_pointer;
	bool is_padding; // no member has these bytes
};

struct type_fields {
	VEC(struct type_field)
	v; // sorted by offset, without gaps or overlaps, up to the type's size
};

// Flattens the type at `die` (struct dwarf_var.die of these names). A union is one unit, neighbouring
// bit-fields are one unit, arrays are flattened element by element. Refuses nothing: a type that is
// unknown, incomplete or too large (over 1 million fields) gives no fields, and nothing is known but `size`.
struct err *type_fields(const struct dwarf_names *n, size_t die, uint64_t size,
			struct type_fields *ret) must_check;
void type_fields_deinit(struct type_fields *f);
