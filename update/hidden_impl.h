// SPDX-License-Identifier: LGPL-2.1-or-later
// What hidden.c, hidden_find.c and hidden_walk.c share.
#pragma once

#include "update/hidden.h"

enum context_kind {
	CONTEXT_UCONTEXT, // getcontext, swapcontext
	CONTEXT_JUMP,	  // setjmp, words mangled by glibc
	CONTEXT_SWITCH,	  // a pointer to a stack with saved registers on top of it
};

struct context {
	enum context_kind kind;
	taddr_t at; // of the word with the pc; CONTEXT_SWITCH: of the pointer to the stack
};

struct native { // the stack that a thread was made with
	taddr_t lo, hi;
	taddr_t fs_base; // of the thread
	taddr_t sp;	 // its stack pointer when that lies in this stack, else 0
	bool live;	 // false: the thread has ended, the C library keeps its stack
};

struct loose { // a word that looks like a return address into a function that changed
	taddr_t slot, pc;
	bool explained; // it lies on a stack that was walked, or is known to be stale
};

struct walked {
	taddr_t lo, cfa, pc; // of one frame of a thread
};

struct text {
	taddr_t lo, hi;
};

struct hidden {
	struct judge *j;
	struct process *process;
	struct maps maps;
	uint64_t guard;		// glibc's pointer guard
	VEC(struct text) texts; // executable mappings, ascending
	// Around all images of the executable, all libraries, all images of libraries that change.
	struct text program, libraries, modules;
	VEC(struct native) natives;
	VEC(struct context) contexts;
	VEC(struct loose) loose;
	VEC(struct walked) walked;
	struct frames frames; // reused
	bool searched, complete;
	bool told;     // that a search in the stop was not complete
	bool may_have; // the program uses what makes such stacks
	bool has;      // it has one
};

// Fills texts, natives of living threads and the guard.
struct err *hidden_learn(struct hidden *h) must_check;
// Fills contexts and loose, at most `limit` bytes of memory.
struct err *hidden_find(struct hidden *h, bool stopped, uint64_t limit) must_check;
// The stack of a thread that has ended, by its control block.
struct err *hidden_add_dead(struct hidden *h, taddr_t tcb) must_check;
const struct native *hidden_native_at(const struct hidden *h, taddr_t addr);
// Whether an executable byte stands there, the instruction before it is a call, and no function starts there.
bool hidden_after_call(const struct hidden *h, taddr_t pc);

// Whether the program's own code can make such stacks.
bool hidden_is_possible(const struct judge *j);

// Registers of a context as it stands in memory now; false when it is none any more.
bool hidden_registers(const struct hidden *h, const struct context *c,
		      struct user_regs_struct *ret);
