// SPDX-License-Identifier: LGPL-2.1-or-later
// Return gates: wait for a frame to return without polling and without an instruction that traps.
// A gate takes the place of one return address on a stack; whoever returns through it is held for a
// bounded time and then goes to the real address. It works without the tool.
#pragma once

#include "process/helper.h"

struct gates;

// Maps the gate area (code, slots, a word the tool can wait on) into the target.
struct err *gates_create(struct process *p, struct helper *h, taddr_t near, size_t max,
			 struct gates **ret) must_check;
// While the thread is stopped: the return address at `slot` is replaced; its old value is kept.
struct err *gates_plant(struct gates *g, pid_t tid, taddr_t slot) must_check;
// Waits until some gate was reached or the deadline passed; *reached counts threads held now.
struct err *gates_wait(struct gates *g, uint64_t deadline, unsigned *reached) must_check;
// The real return address behind a gate's address, 0 when addr is no gate. For unwinding.
taddr_t gates_real(const struct gates *g, taddr_t addr);
// True when the stopped thread is held in a gate: then *pc, *sp and the callee-saved registers of *regs are
// those that it will have when it goes on.
bool gates_held(const struct gates *g, const struct thread *t, struct user_regs_struct *regs);
// While all are stopped: takes every planted gate off the stacks again, and moves held threads to where
// they go on.
struct err *gates_withdraw(struct gates *g) must_check;
void gates_free(struct gates *g); // after the thaw; unmaps when nothing is inside any more
void gates_freep(struct gates **g);
