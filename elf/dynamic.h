// SPDX-License-Identifier: LGPL-2.1-or-later
// What the readers of dynamic symbols and relocations share. Private to elf/.
#pragma once

#include "elf/module.h"

// A string of DT_STRTAB, NULL when it lies outside.
const char *dynamic_string(const struct module *m, uint64_t index);

static inline uint32_t symbol_name_hash(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return h;
}
