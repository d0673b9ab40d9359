// SPDX-License-Identifier: LGPL-2.1-or-later
// All debugging information entries of a module that speak of types, variables and
// functions, read from .debug_info in one pass into a flat array. libdw needs several
// times as long for the same, and every update waits for it. Knows DWARF 2 to 5, partial
// and type units, and dwz's supplementary file.
#pragma once

#include "elf/dwarf_cursor.h"
#include "elf/module.h"

enum die_flag {
	DIE_DECLARATION = 1 << 0,
	DIE_EXTERNAL = 1 << 1,
	DIE_ARTIFICIAL = 1 << 2,  // made by the compiler: vptr, this
	DIE_STATIC = 1 << 3,	  // has a fixed address, in `value`
	DIE_TLS = 1 << 4,	  // `value` is an offset in the TLS segment
	DIE_CODE = 1 << 5,	  // a function with code; `value` is its entry
	DIE_VALUE = 1 << 6,	  // `value` was given (offset, enumerator, element count)
	DIE_SIZE = 1 << 7,	  // `size` was given
	DIE_BITS_DWARF4 = 1 << 8, // bit_offset counts as DW_AT_data_bit_offset
	DIE_BITS_DWARF2 = 1 << 9, // bit_offset counts as DW_AT_bit_offset, from the big end
	DIE_LOCAL = 1 << 10,	  // inside a function
};

#define NO_DIE UINT32_MAX

struct die {
	uint64_t off; // offset in .debug_info; those of other sections follow behind its
		      // end
	const char *name, *linkage_name; // in the section, or NULL
	uint64_t type;			 // DW_AT_type as an offset, 0 none (void)
	uint64_t origin; // DW_AT_abstract_origin or DW_AT_specification, 0 none
	uint64_t size;	 // DW_AT_byte_size
	uint64_t value;	 // address, member offset, enumerator or element count: see enum
			 // die_flag
	uint32_t parent; // nearest enclosing entry that is kept, NO_DIE for a unit
	uint32_t next;	 // first entry behind all that it encloses
	uint32_t unit;
	uint32_t bit_size, bit_offset;
	uint32_t decl_file, decl_line;
	uint16_t tag, flags;
	uint8_t encoding; // DW_ATE_*
	uint8_t virtuality;
	uint32_t vtable_slot; // DW_AT_vtable_elem_location + 1, 0 none
};

struct die_unit {
	uint64_t off, end; // as die.off
	const char *name, *comp_dir, *producer;
	uint64_t low_pc, high_pc; // high_pc 0 when it has ranges
	uint64_t ranges;	  // offset in its range section
	uint64_t line_offset;	  // DW_AT_stmt_list
	uint64_t str_offsets_base, addr_base, rnglists_base;
	uint8_t version, address_size, offset_size;
	uint8_t source; // index in dies.sources
	bool has_ranges, has_line;
	uint32_t first_file, n_files; // in dies.files
	uint32_t die;
};

// The sections that entries refer to.
struct die_source {
	struct bytes info, abbrev, str, line_str, str_offsets, addr, line, ranges,
		rnglists;
	uint64_t bias; // added to its offsets to give die.off
};

enum {
	DIE_SOURCES = 3
}; // .debug_info, .debug_types, .debug_info of the supplementary file

struct dies {
	VEC(struct die) dies; // sorted by off
	VEC(struct die_unit) units;
	VEC(const char *)
	files; // file names of the units' line tables, DW_AT_decl_file counts from 0
	struct die_source sources[DIE_SOURCES];
	uint64_t alt_bias;
	uint32_t *page; // for each DIE_PAGE bytes of offsets the first entry in or behind
			// them
	size_t n_pages;
	uint64_t file_entries; // of line tables that were read, to end with damaged ones
};

// Reads them; `ret` is empty when the module has no debug information. Errors: corrupt
// (corrupt-elf).
struct err *dies_read(const struct module *m, struct dies **ret) must_check;
void dies_free(struct dies *d);
void dies_freep(struct dies **d);

// The entry at exactly this offset, or NULL.
const struct die *dies_at(const struct dies *d, uint64_t off);

static inline uint32_t dies_index(const struct dies *d, const struct die *e)
{
	return (uint32_t)(e - d->dies.v);
}

static inline const struct die *dies_parent(const struct dies *d, const struct die *e)
{
	return e->parent == NO_DIE ? NULL : &d->dies.v[e->parent];
}

// Walks the direct children: for (c = dies_child(d, e); c; c = dies_sibling(d, c)).
const struct die *dies_child(const struct dies *d, const struct die *e);
const struct die *dies_sibling(const struct dies *d, const struct die *e);

// Follows abstract origins and specifications (to a bounded depth) to the entry that has
// the name.
const struct die *dies_origin(const struct dies *d, const struct die *e);

// Source file of its declaration as the line table has it, NULL if unknown.
const char *dies_file(const struct dies *d, const struct die *e);

// Calls back for every code range of a unit. *budget is how many entries of range lists may still be read, for
// all units together: those of a damaged file may all name one long list.
typedef struct err *(*unit_range_fn)(void *arg, uint64_t start, uint64_t end);
struct err *dies_unit_ranges(const struct dies *d, const struct die_unit *u,
			     uint64_t *budget, unit_range_fn fn, void *arg) must_check;
