// SPDX-License-Identifier: LGPL-2.1-or-later
// Keys that name a static variable the same way in both builds of a program.
#pragma once

#include "elf/dies.h"

struct declared_function {
	uint32_t file, line;
	uint32_t die;
};

// What is found out once for all variables.
struct scopes {
	const struct dies *d;
	// For each entry its number among the variables of equal name in its function, 0 for the first.
	uint32_t *ordinals;
	VEC(struct declared_function) functions; // of one unit, by file and line
	uint32_t unit;				 // that one, NO_DIE none
	uint32_t closures_seen;
};

struct err *scopes_init(struct scopes *s, const struct dies *d) must_check;
void scopes_deinit(struct scopes *s);

// "function|ordinal|name", "ns::name"; allocated in the arena, NULL without memory.
const char *variable_scope(struct scopes *s, const struct die *var, void **arena);

// The first linkage name, else the name, along a function's origins.
const char *function_name(const struct dies *d, const struct die *f);
// The first entry along the origins that says where it is declared, else the last.
const struct die *declared_die(const struct dies *d, const struct die *e);
