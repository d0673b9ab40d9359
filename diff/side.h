// SPDX-License-Identifier: LGPL-2.1-or-later
// One of the two programs of a diff with its indices. Private to diff/.
#pragma once

#include "diff/diff.h"

struct span { // one part of a function
	vaddr_t addr, end;
	uint32_t func;
};

struct alias { // one symbol of a function or variable
	const char *name;
	const char *file; // basename; NULL for globals
	uint32_t index;
	bool local;
};

typedef VEC(struct func) func_list;
typedef VEC(struct var) var_list;

struct side {
	const struct module *m;
	const struct dwarf_names *names;
	bool split_cold; // the other program has no names: pieces of functions stand alone on both
	struct func *funcs;
	size_t n_funcs;
	struct var *vars;
	size_t n_vars;
	VEC(struct span) spans;		// sorted by addr
	VEC(struct alias) func_aliases; // sorted by function
	VEC(struct alias) var_aliases;	// sorted by variable
	VEC(vaddr_t) var_reach;		// highest end of vars[0..i]
	VEC(vaddr_t) refs; // addresses outside .text that code or relocations refer to, sorted
	VEC(vaddr_t) lea_refs; // those whose address is taken
	VEC(vaddr_t) writes; // addresses of writable data that instructions write, sorted
	uint32_t *pair_of_func; // index of the func on the other side, or NO_TWIN
	uint32_t *pair_of_var;
	void *strings;
};

struct diff_private {
	struct side old, new;
	uint32_t *pair_of_old_func, *pair_of_new_func; // indices into diff.funcs
	uint32_t *pair_of_old_var, *pair_of_new_var;
};

// Length of the name of the function whose piece a symbol names, 0 for functions.
size_t cold_parent_length(const char *name);
// Gives the pieces to their functions; those without one become functions of their own.
struct err *side_attach_cold(const struct side *s, func_list *funcs, func_list *cold)
	must_check;
// Functions without bodies decoded, and the spans of their parts.
struct err *side_list_functions(struct side *s, func_list *funcs) must_check;
struct err *side_list_variables(struct side *s, var_list *vars) must_check;
// Decodes all bodies, notes which functions have their address taken, and collects refs.
struct err *side_decode(struct side *s) must_check;
void side_deinit(struct side *s);

uint32_t side_func_at(const struct side *s, vaddr_t addr);
struct var_reading side_var_at(const struct side *s, vaddr_t addr);

// End of the unnamed data at addr: the next address that is referred to (all or by lea only), the next
// variable, or the end of its section.
vaddr_t side_extent(const struct side *s, vaddr_t addr, bool lea_only);

bool side_is_template(const struct side *s, vaddr_t addr);
