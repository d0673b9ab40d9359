// SPDX-License-Identifier: LGPL-2.1-or-later
// Where a program's variables and functions live in a process: homes and canonical addresses.
#pragma once

#include <stdbool.h>

#include "util/error.h"
#include "util/types.h"
#include "util/vec.h"

// A variable whose home is not base + vaddr.
struct home {
	vaddr_t addr;
	uint64_t size;
	taddr_t home;
};

// A function known in the process by an address other than base + vaddr.
struct canonical {
	vaddr_t addr;
	taddr_t entry;
};

// One more old entry of a function in a live image; each commit points all of them to the newest body.
struct entry_alias {
	vaddr_t addr; // the function in the current program
	taddr_t entry;
};

// The layout of one program in one process. All lists are sorted by addr.
struct layout {
	taddr_t base;
	VEC(struct home) homes;
	VEC(struct canonical) canonicals;
	VEC(struct entry_alias) aliases;
};

// Sorts the lists; to be called after filling them.
void layout_sort(struct layout *l);
void layout_deinit(struct layout *l);

// The live address of a data address of the program: home + offset inside a variable, else base + addr.
taddr_t layout_data(const struct layout *l, vaddr_t addr);
// The address by which the process knows the function that starts at addr.
taddr_t layout_function(const struct layout *l, vaddr_t addr);
// The entries in older images of the function that starts at addr: [*first, *first + n).
size_t layout_aliases(const struct layout *l, vaddr_t addr,
		      const struct entry_alias **first);
