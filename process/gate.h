// SPDX-License-Identifier: LGPL-2.1-or-later
// Return gates: wait for a frame to return without polling and without an instruction that traps.
// A gate takes the place of one return address on a stack; whoever returns through it is held for a
// bounded time and then goes to the real address. It works without the tool: when the tool is gone or has
// not called gates_wait for a while, nobody is held any more.
//
// Not for frames that a C++ exception may pass, nor for targets with shadow stacks.
#pragma once

#include "process/fault.h"
#include "process/helper.h"

enum {
	GATE_HOLD_MS =
		15, // a thread is held this long at most, unless gates_set_hold changes it
	GATE_LEASE_MS =
		100, // after this time without plant or wait nobody is held any more
};

struct gates;

// Maps the gate area (code, slots, a word the tool can wait on) into the target. A gate is used up by each
// new pair of stack place and return address, so `max` should be some hundreds.
struct err *gates_create(struct process *p, struct helper *h, taddr_t near, size_t max,
			 struct gates **ret) must_check;
void gates_set_hold(struct gates *g, uint64_t hold_ns);
// While the thread is stopped: the return address at `slot` is replaced; its old value is kept. Of several
// changed frames of a thread the outermost is the one to plant. Threads that are held already may stay so
// meanwhile (judge their frames by gates_held), until their time is over. A slot that
// holds a gate already is left as it is.
struct err *gates_plant(struct gates *g, pid_t tid, taddr_t slot) must_check;
// Waits until every thread with a planted gate is held at the same time, or, when one holds longer than
// the others can be held, until that last one has come; or until the deadline. *reached counts threads held
// now. Threads whose frame is left by longjmp never come: look again each 0.2-0.5 s.
struct err *gates_wait(struct gates *g, uint64_t deadline, unsigned *reached) must_check;
// Waits until any gate is reached (a moment named by the user), or until the deadline.
struct err *gates_wait_any(struct gates *g, uint64_t deadline, unsigned *reached)
	must_check;
// As gates_wait, for gates in several processes at once.
struct err *gates_wait_several(struct gates *const *g, size_t n, uint64_t deadline,
			       unsigned *reached) must_check;
// The real return address behind a gate's address, 0 when addr is no gate. For unwinding.
taddr_t gates_real(const struct gates *g, taddr_t addr);
// True when the stopped thread is inside gate code: then *regs are all registers that it will have when it
// goes on at the real address.
bool gates_held(const struct gates *g, const struct thread *t,
		struct user_regs_struct *regs);
// While all are stopped: takes every planted gate off the stacks again, and moves held threads to where
// they go on (thread.regs, written by process_thaw). Afterwards unwinding and commit_execute see the
// program's own addresses only; plant again to wait again.
struct err *gates_withdraw(struct gates *g) must_check;
// After the thaw. Withdraws what is still planted; unmaps when nothing is inside any more (a signal handler
// may lie over a held thread), else the area stays, harmless, until commit_recover of a later tool.
void gates_free(struct gates *g);
void gates_freep(struct gates **g);
