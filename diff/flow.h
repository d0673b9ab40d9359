// SPDX-License-Identifier: LGPL-2.1-or-later
// May a frame of a changed function go on in the new body? (design 2, point 4; findings-safety, Frames)
#pragma once

#include "diff/diff.h"

enum frame_verdict {
	FRAME_SAME,	    // function did not change: same instruction index
	FRAME_NOTHING_LEFT, // everything reachable from here is identical: goes on at the twin
	FRAME_PREFIX, // the difference lies ahead; what is live here was made by identical instructions
	FRAME_WAIT, // must return first
};

struct frame_judgement {
	enum frame_verdict verdict;
	vaddr_t new_pc; // where it goes on, unless FRAME_WAIT
	char reason[160]; // for FRAME_WAIT: what stands in the way, with the instruction or register named
};

// Judges a frame of old function `old_func` whose pc is `pc` (a vaddr of OLD). `exact` says that pc is
// the next instruction (innermost frame, interrupted frame) and not a return address. cfi_equal tells
// whether OLD at old_pc and NEW at new_pc have the same CFA rule and saved registers; it is asked for the
// addresses where a walk over the stack would look the frame up and where the frame goes on.
typedef bool (*cfi_equal_fn)(vaddr_t old_pc, vaddr_t new_pc, void *arg);

struct err *frame_judge(const struct diff *d, uint32_t old_func, vaddr_t pc, bool exact,
			cfi_equal_fn cfi_equal, void *arg, struct frame_judgement *ret)
	must_check;

// The same for many frames of one function: what holds for the whole function is found out once.
struct flow;
struct err *flow_create(const struct diff *d, uint32_t old_func, struct flow **ret)
	must_check;
void flow_free(struct flow *f);
void flow_freep(struct flow **f);
struct err *flow_judge(struct flow *f, vaddr_t pc, bool exact, cfi_equal_fn cfi_equal,
		       void *arg, struct frame_judgement *ret) must_check;

// A type with another layout that a frame of the function holds by value (or an enumeration with another
// meaning), NULL when there is none or nobody can tell. Such a frame must return first even when the
// function itself is the same: what the old code filled in, new code would read by the new layout.
const struct type_change *frame_changed_type(const struct diff *d, uint32_t old_func);

const char *frame_verdict_name(enum frame_verdict v); // "nothing-left"

// Whether a frame of this function of OLD may go on in its old body while everything it calls is new: false
// with the reason when it relies on a register that a changed callee may clobber.
struct err *frame_keepable(const struct diff *d, uint32_t old_func, bool *ret, char *why,
			   size_t size) must_check;
