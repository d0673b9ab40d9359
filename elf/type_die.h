// SPDX-License-Identifier: LGPL-2.1-or-later
// Questions about one type entry: what it is called, how big it is, what it is behind
// typedefs.
#pragma once

#include "elf/dies.h"

enum { MAX_TYPE_DEPTH = 64 }; // of typedefs, qualifiers and arrays around each other

// Behind typedefs, const, volatile, restrict and _Atomic, and from a declaration to its
// type unit. NULL for void and for what is damaged.
const struct die *type_strip(const struct dies *d, uint64_t off);

// Byte size, 0 when incomplete, void, or larger than an address space.
uint64_t type_size(const struct dies *d, uint64_t off);

bool type_is_const(const struct dies *d, uint64_t off);

// Number of elements of all dimensions of an array entry; 0 for a flexible one.
uint64_t type_array_count(const struct dies *d, const struct die *array);

// Where a bit-field lies: its first bit from the start of the record and its width. False when damaged.
bool member_bits(const struct dies *d, const struct die *member, uint64_t *bit,
		 uint64_t *bits);

static inline bool die_is_record(const struct die *e)
{
	return e->tag == 0x13 || e->tag == 0x02 ||
	       e->tag == 0x17; // structure, class, union
}

static inline bool die_is_pointer(const struct die *e)
{
	return e->tag == 0x0f || e->tag == 0x10 ||
	       e->tag == 0x42; // pointer, reference, rvalue reference
}

// "struct settings", "char *", "int[10]"; allocated in the arena, NULL without memory.
const char *type_name(const struct dies *d, uint64_t off, void **arena);

// The name with namespaces and classes around it ("ns::Outer::name"), without those of
// functions. An anonymous scope is called "(anonymous)".
const char *die_qualified_name(const struct dies *d, const struct die *e, void **arena);
