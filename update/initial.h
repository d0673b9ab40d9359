// SPDX-License-Identifier: LGPL-2.1-or-later
// Initial values of variables, word by word, with what relocations make of them.
#pragma once

#include "update/plan.h"

// A word (or a part of one) of a program's initial data.
struct initial_word {
	uint8_t len;  // 1..8
	uint64_t raw; // the bytes of the file, little endian; 0 where a relocation writes
	const struct reloc *reloc; // NULL for plain bytes
};

// The initial word of a module at addr, len bytes of it.
struct initial_word initial_word(const struct module *m, vaddr_t addr, uint8_t len);

// The run-time value a word of NEW gets in this process.
struct err *initial_value_new(const struct plan *p, const struct initial_word *w,
			      uint64_t *ret, bool *known) must_check;
// The run-time value a word of OLD had when the process started this program.
struct err *initial_value_old(const struct plan *p, const struct initial_word *w,
			      uint64_t *ret, bool *known) must_check;

// Whether both words mean the same: equal bytes, the same symbol, pointers to a pair, to equal strings.
bool initial_equal(const struct plan *p, const struct initial_word *old,
		   const struct initial_word *new);

// The string at an address of unnamed read-only data, NULL when it is none.
const char *initial_string(const struct module *m, const struct initial_word *w);

// An external symbol as OLD's slots or the loaded libraries have it.
struct err *resolve_external(const struct plan *p, const struct reloc *r, taddr_t *ret,
			     bool *is_ifunc, bool *found) must_check;
// For a symbol that NEW defines itself: the definition of another module that comes before it (the program's own
// malloc, its copy of a variable). *found is false when NEW's own counts.
struct err *resolve_interposed(const struct plan *p, const struct reloc *r, taddr_t *ret,
			       bool *is_ifunc, bool *found) must_check;
// Another module that refers to a symbol of this name, or NULL.
struct err *resolve_user(const struct plan *p, const char *name, const char **ret)
	must_check;
// True when this relocation of OLD is a PLT slot that was never bound.
bool slot_is_lazy(const struct plan *p, const struct reloc *old);
