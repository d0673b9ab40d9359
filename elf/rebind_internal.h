// SPDX-License-Identifier: LGPL-2.1-or-later
// What the files that write a debugger's copy share; nobody else includes it.
#pragma once

#include "elf/dies_internal.h"
#include "elf/image.h"
#include "elf/rebind.h"

// A section of the copy. `in` is its content in the input; `out` a changed copy of it, if any.
struct out_section {
	Elf64_Shdr header;
	const char *name;
	const uint8_t *in;
	uint8_t *out;
};

struct rebind {
	const struct module *m;
	const struct rebind_rules *rules; // NULL: an old image
	VEC(struct out_section) sections;
};

// A section whose content is patched; all NULL when the file has none.
struct patched {
	struct bytes in;
	uint8_t *out;
};

struct rebind_dwarf {
	const struct module *m;
	const struct rebind_rules *rules;
	struct patched info, types, loc, loclists, addr;
};

static inline vaddr_t rebind_address(const struct module *m,
				     const struct rebind_rules *rules, vaddr_t addr)
{
	return module_region(m, addr) == REGION_TEXT ? rules->function(rules->arg, addr)
						     : rules->data(rules->arg, addr);
}

// Patches the location descriptions of all entries and of the location lists that they name.
struct err *rebind_dwarf(struct rebind_dwarf *r) must_check;

// One location description, part of `s`. Operations behind one that is not known stay as they are.
void rebind_expression(const struct rebind_dwarf *r, const struct die_unit *u,
		       struct patched *s, struct bytes expr);

// Data symbols get their new values. `map` translates the section numbers of a debug file, NULL: none.
struct err *rebind_symtab(const struct rebind *r, struct out_section *s,
			  const uint32_t *map, size_t n_map) must_check;
// Functions alone stay, under their names of before.
struct err *rebind_old_symtab(struct out_section *s, struct out_section *strings,
			      unsigned generation, const uint32_t *map, size_t n_map)
	must_check;
