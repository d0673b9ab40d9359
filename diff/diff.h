// SPDX-License-Identifier: LGPL-2.1-or-later
// What changed between two builds of a program: functions, variables, types, module-level facts.
// Knows files only, no process.
#pragma once

#include "diff/body.h"
#include "diff/types.h"
#include "elf/dwarf_info.h"
#include "elf/module.h"

enum func_verdict {
	FUNC_SAME,
	FUNC_IMM,  // only immediates differ
	FUNC_REF,  // only what it refers to differs (a string, another variable), or both
	FUNC_CODE, // instructions differ
	FUNC_ADDED,   // only in NEW
	FUNC_REMOVED, // only in OLD
};

enum func_cause { // for imm-only and ref-only, the common harmless causes
	CAUSE_NONE,
	CAUSE_LINE,    // __LINE__ and nothing else (proven with DWARF lines)
	CAUSE_VERSION, // strings that differ in a version number, date, or build path only
};

#define NO_TWIN UINT32_MAX

// A function of one program: its symbol with the parts that belong to it (.cold and the like).
struct func {
	const char *name; // symbol name with compiler suffix; "sub_1234" when stripped
	const char *file; // source file for local functions, else NULL
	vaddr_t addr;	  // its entry
	uint64_t size;	  // of the main part
	bool local;
	bool in_dynsym;
	bool address_taken; // by a lea or a relocation
	struct body body;
};

struct func_pair {
	enum func_verdict verdict;
	enum func_cause cause;
	uint32_t old, new; // indices into old_funcs/new_funcs; NO_TWIN for added/removed
	// For each instruction of the new body the old instruction that equals it after normalising
	// references, or NO_TWIN. Aligned by longest common subsequence when they differ. There for every
	// pair that has both sides (identity when the verdict is same), NULL for added and removed.
	uint32_t *twin;
	uint32_t *near_twin; // as twin, but ignoring immediate and referent; NULL when the verdict is same
	char *reason; // first difference for -v: "0x1234 lea: \"1.6.36\" became \"1.6.37\""; NULL if same
	float confidence; // 1 for pairs by name; less for pairs of stripped programs
};

enum var_verdict {
	VAR_SAME,
	VAR_INIT, // initial bytes or relocations differ
	VAR_RESIZED,
	VAR_ADDED,
	VAR_REMOVED,
};

// A data object: named by symbol, paired by name, or by (file, DWARF scope) for locals.
struct var {
	const char *name; // for people: "settings", "function|counter"
	const char *file; // for locals
	vaddr_t addr;
	uint64_t size;
	enum region region;
	bool local;
	bool linker;	 // _DYNAMIC, __dso_handle, _end and their kind: never merged
	bool copy_reloc; // lives here by R_X86_64_COPY
	bool is_const;	 // RODATA or RELRO
	size_t type_die; // DWARF type, 0 unknown
	const char *type_name;
};

struct var_pair {
	enum var_verdict verdict;
	uint32_t old, new; // indices into old_vars/new_vars, NO_TWIN for added/removed
	bool type_changed_meaning; // int became enum and the like
	bool written_at_start_only; // added: only start-up code writes it, so it keeps its initial value
	char *detail;
};

enum module_change {	     // facts that an update refuses or must know
	CHANGE_NEEDED_ADDED, // a new DT_NEEDED
	CHANGE_NEEDED_REMOVED,
	CHANGE_TLS,	    // size, alignment or a TLS symbol's offset
	CHANGE_CONSTRUCTOR, // a new entry of .init_array or .preinit_array
	CHANGE_COPY_RELOC,  // a new COPY relocation
	CHANGE_ICF,	    // functions that shared an address have different bodies now
	CHANGE_IFUNC,	    // a new or changed IFUNC of the program itself
};

struct module_fact {
	enum module_change kind;
	char *object; // library, symbol
	char *detail;
};

struct diff {
	const struct module *old, *new;
	struct dwarf_names old_names, new_names;
	VEC(struct func) old_funcs; // sorted by addr
	VEC(struct func) new_funcs; // sorted by addr
	VEC(struct func_pair)
	funcs; // one for each new function in new_funcs order, then the removed ones
	VEC(struct var) old_vars; // sorted by addr
	VEC(struct var) new_vars;
	VEC(struct var_pair) vars; // one for each new variable in order, then the removed ones
	VEC(struct module_fact) facts;
	struct type_report types;
	size_t count[FUNC_REMOVED + 1]; // functions by verdict
	bool by_shape;			// no names: paired by masked hash and call graph
	struct diff_private *index;	// private to diff/
};

struct diff_options {
	bool skip_types; // leave diff.types empty
	int threads;	 // 0: as many as there are cores
};

// Compares two programs. Both modules stay owned by the caller and must outlive the result.
struct err *diff_programs(const struct module *old, const struct module *new,
			  const struct diff_options *opt, struct diff **ret) must_check;
void diff_free(struct diff *d);
void diff_freep(struct diff **d);

// The function (index) one of whose parts covers addr, NO_TWIN when none.
uint32_t diff_old_func_at(const struct diff *d, vaddr_t addr);
uint32_t diff_new_func_at(const struct diff *d, vaddr_t addr);

// The pair of an old function, of a new function, NULL when it was removed or added.
const struct func_pair *diff_pair_of_old(const struct diff *d, uint32_t old_func);
const struct func_pair *diff_pair_of_new(const struct diff *d, uint32_t new_func);
const struct var_pair *diff_var_of_old(const struct diff *d, uint32_t old_var);
const struct var_pair *diff_var_of_new(const struct diff *d, uint32_t new_var);

// Which variable does a reference into NEW (or OLD) data mean? Both readings of a boundary are given:
// `ret->inside` is the variable that starts at or covers addr, `ret->end_of` the one that ends exactly at
// addr; either may be NO_TWIN.
struct var_reading {
	uint32_t inside, end_of;
};
struct var_reading diff_new_var_at(const struct diff *d, vaddr_t addr);
struct var_reading diff_old_var_at(const struct diff *d, vaddr_t addr);

// True when `addr` in NEW is unnamed data of a writable segment that nothing writes by name: the initial
// value that compilers keep for an automatic array of pointers, a constant in all but place. The copy of
// the new image serves.
bool diff_new_is_template(const struct diff *d, vaddr_t addr);

const char *func_verdict_name(enum func_verdict v); // "imm_only" as in --json
const char *var_verdict_name(enum var_verdict v);
