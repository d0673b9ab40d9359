// SPDX-License-Identifier: LGPL-2.1-or-later
// What the files of the entry reader share; nobody else includes it.
#pragma once

#include <stdlib.h>

#include "elf/dies.h"

struct attr_spec {
	uint16_t name, form;
	int64_t implicit;
};

struct abbrev {
	uint16_t tag; // 0: the code is not used
	bool children;
	bool keep;
	// Size of all attributes together when it does not depend on the entry, else -1.
	int32_t fixed;
	uint32_t first, n;
};

struct abbrev_table {
	uint64_t off;
	VEC(struct abbrev) codes; // by code
	VEC(struct attr_spec) specs;
};

// Reads the table at an offset of .debug_abbrev; fixed sizes are for units of this shape.
struct err *abbrev_table_read(struct bytes section, uint64_t off,
			      const struct die_unit *unit, struct abbrev_table *ret)
	must_check;
void abbrev_table_deinit(struct abbrev_table *t);

// One attribute's value, already resolved: strings, references and indexed addresses.
struct attr_value {
	uint64_t u;
	const char *str;
	struct bytes block;
	uint16_t form;
	bool is_sig; // u is a type signature, not an offset
};

// Reads one value; a form it does not know makes the cursor bad.
void attr_read(const struct dies *d, const struct die_unit *unit, struct cursor *c,
	       const struct attr_spec *spec, struct attr_value *v);

// Size of a form's value when it is always the same in such a unit, else -1.
int attr_fixed_size(const struct die_unit *unit, uint16_t form);

// An address by its index in .debug_addr, 0 when outside.
uint64_t attr_indexed_address(const struct dies *d, const struct die_unit *unit,
			      uint64_t index);

// First address of a range list; false when it is empty or damaged.
bool range_list_start(const struct dies *d, const struct die_unit *u, uint64_t off,
		      uint64_t *ret);

// Offset of a range list from its index (DW_FORM_rnglistx).
uint64_t range_list_offset(const struct dies *d, const struct die_unit *u, uint64_t index);

// Fills a unit's file names from the head of its line table; none when it is damaged.
struct err *unit_files_read(struct dies *d, struct die_unit *u) must_check;

// Fills dies and units from the sources.
struct err *dies_scan(struct dies *d) must_check;

// What attributes of one entry mean only together.
struct draft {
	struct die e;
	uint64_t high_pc, ranges;
	bool has_low, has_high, high_is_offset, has_ranges, ranges_indexed, has_location,
		type_is_sig;
	bool origin_is_sig, is_unit;
};

// Takes one attribute over into the draft, or into its unit.
void draft_attr(const struct dies *d, struct die_unit *u, const struct attr_spec *spec,
		const struct attr_value *v, struct draft *t);
// Tells whether a function has code, and where it starts.
void draft_finish_code(const struct dies *d, const struct die_unit *u, struct draft *t);
