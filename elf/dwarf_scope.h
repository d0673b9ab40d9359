// SPDX-License-Identifier: LGPL-2.1-or-later
// Keys that name a static variable the same way in both builds of a program.
#pragma once

#include "elf/dies.h"

// For each entry its number among the variables of equal name in its function, 0 for the
// first.
struct err *scope_ordinals(const struct dies *d, uint32_t **ret) must_check;

// "function|ordinal|name", "ns::name"; allocated in the arena, NULL without memory.
const char *variable_scope(const struct dies *d, const uint32_t *ordinals,
			   const struct die *var, void **arena);

// The first linkage name, else the name, along a function's origins.
const char *function_name(const struct dies *d, const struct die *f);
// The first entry along the origins that says where it is declared, else the last.
const struct die *declared_die(const struct dies *d, const struct die *e);
