// SPDX-License-Identifier: LGPL-2.1-or-later
// What the files of diff/ share about a comparison. Private to diff/.
#pragma once

#include "diff/guess.h"
#include "diff/side.h"

enum memo_state {
	MEMO_UNKNOWN,
	MEMO_EQUAL, // also while the comparison is open: a cycle of pointers is equal
	MEMO_DIFFERENT,
};

struct memo { // outcome of one pair of ranges
	vaddr_t old, new;
	uint64_t size;
	enum memo_state state;
};

// Comparison of data and pointers. One for each thread; pairs must be complete before.
struct comparer {
	const struct diff *d;
	const struct side *old, *new;
	VEC(struct memo) memo; // open hash
	size_t used;
	const struct guesses *guesses; // for by_shape
	VEC(size_t) trail; // slots filled in since the outermost comparison began
	unsigned depth;
};

void comparer_deinit(struct comparer *c);

// Do two pointers (targets of relocations) lead to the same thing?
bool pointers_equal(struct comparer *c, vaddr_t old, vaddr_t new);
// Are the initial bytes equal, relocations by what they lead to?
bool ranges_equal(struct comparer *c, vaddr_t old, vaddr_t new, uint64_t size);
bool code_equal(struct comparer *c, vaddr_t old, vaddr_t new);
// Unnamed data: `access` bytes of it, or by lea (access 0) the whole string or object.
bool unnamed_equal(struct comparer *c, vaddr_t old, vaddr_t new, unsigned access);

// Do the references of two instructions lead to the same thing? Branches by index.
bool refs_equal(struct comparer *c, const struct func *of, const struct insn *o,
		const struct func *nf, const struct insn *n);

uint64_t content_hash(const struct side *s, const struct insn *in);
// The string at addr, NULL when it is none or does not look like text.
const char *string_at(const struct side *s, vaddr_t addr);

// near[i] of new: the old instruction aligned with it by hash_noimm, NO_TWIN if none.
struct err *align_bodies(const struct body *old, const struct body *new, uint32_t *near)
	must_check;

struct err *compare_pair(struct comparer *c, struct func_pair *p) must_check;
// Text of the first difference between two instructions; malloc'ed.
char *explain_difference(const struct comparer *c, const struct insn *o,
			 const struct insn *n);
int64_t insn_immediate(const struct side *s, const struct insn *in);
// Finds the harmless cause of a difference; not for threads, it reads DWARF lines.
void find_cause(struct comparer *c, struct func_pair *p);

struct err *list_var_pairs(struct diff *d) must_check;
struct err *compare_variables(struct diff *d) must_check;
struct err *collect_facts(struct diff *d) must_check;
