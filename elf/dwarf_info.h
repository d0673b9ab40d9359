// SPDX-License-Identifier: LGPL-2.1-or-later
// What DWARF says of a module's names: source lines, scopes of static variables,
// compilation units.
#pragma once

#include "elf/module.h"

struct dies;

struct source_pos {
	const char *file; // as DWARF has it, without the compilation directory; owned by
			  // the module
	int line;
};

// The source line of an address; false without debug information. Uses the module's libdw
// handle, which only one thread at a time may use.
bool dwarf_line(const struct module *m, vaddr_t addr, struct source_pos *ret);

// A variable with static storage, as DWARF has it.
struct dwarf_var {
	vaddr_t addr;	  // an offset in the TLS segment for thread-local ones
	const char *name; // source name, without compiler suffixes such as ".0"
	const char *cu;	  // name of its compilation unit (path as compiled, normalised to
			  // its last two parts)
	// "function|block-ordinal|name" for static locals, "ns::name" for others. Stable
	// between builds: lexical blocks are numbered among the blocks of the function
	// that declare this name. A lambda's function part is
	// "enclosing|<lambda>{captures}#n", n counting those of equal captures.
	const char *scope;
	size_t die; // offset of the type DIE, for diff/types.h and elf/type_fields.h; 0
		    // none
	const char *type_name; // printable, "struct settings", "int[10]"
	uint64_t size;	       // byte size of the type, 0 if incomplete
	bool is_const;	       // declared const at top level
	bool declared_thread_local;
};

// A function with code, for telling apart same-named static functions.
struct dwarf_func {
	vaddr_t addr;
	const char *name; // linkage name if any, else name
	const char *cu;
	const char *decl_file;
	int decl_line;
};

struct unit_range {
	vaddr_t start, end; // end exclusive
	uint32_t unit;	    // in dies->units
};

struct dwarf_names {
	VEC(struct dwarf_var) vars;    // sorted by (thread-local, addr, scope)
	VEC(struct dwarf_func) funcs;  // sorted by (addr, name)
	VEC(struct unit_range) ranges; // code of the units, sorted by start
	struct dies *dies; // what it was read from, for types_begin() and type_fields()
	void *strings;
};

// Reads all of them in one pass over .debug_info; empty lists without debug information.
struct err *dwarf_names_read(const struct module *m, struct dwarf_names *ret) must_check;
void dwarf_names_deinit(struct dwarf_names *n);
// The variable (not thread-local) or function that starts at addr, NULL when none does.
// Several DIEs may name one address (C++ constructors, identical code folding): the first
// is given, the others follow it.
const struct dwarf_var *dwarf_var_at(const struct dwarf_names *n, vaddr_t addr);
const struct dwarf_func *dwarf_func_at(const struct dwarf_names *n, vaddr_t addr);

// As dwarf_line(), but finds the unit in a table: for many addresses. `m` is the module
// that was read.
bool dwarf_names_line(const struct dwarf_names *n, const struct module *m, vaddr_t addr,
		      struct source_pos *ret);
