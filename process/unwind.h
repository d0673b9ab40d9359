// SPDX-License-Identifier: LGPL-2.1-or-later
// Unwinding the stacks of a stopped target by CFI, with the rules of each pc cached.
#pragma once

#include "elf/module.h"
#include "process/maps.h"
#include "process/process.h"

struct loaded_module { // a file as it is mapped in the target
	const struct module *file;
	taddr_t base;	    // load bias
	taddr_t start, end; // of its executable ranges as a whole
};

struct frame {
	taddr_t pc;
	bool exact; // pc is the next instruction: innermost or interrupted by a signal
	taddr_t pc_slot; // where in memory pc stands (return address, or rip in a
			 // ucontext); 0 for innermost
	taddr_t cfa;
	const struct loaded_module *module;
	bool signal_frame; // this frame is __restore_rt
};

struct frames {
	VEC(struct frame) v;
	bool complete; // ended at an outermost frame (_start, clone3), not by a failure
	char why[128]; // of an incomplete walk
};

struct unwinder;

enum { UNWIND_FRAMES_MAX = 4096 }; // deeper stacks end as incomplete

// Opens every executable mapping of the process: files so that a deleted or replaced one is
// read as it is mapped, the vdso from memory. Takes milliseconds (40 for libc with its debug
// file): call it while the process runs. Then walk each thread once, one at a time, so that
// the critical stop finds all rules cached (0.2 us a frame). A file that cannot be opened
// ends the walks that lead into it. Modules without a file (an image molt mapped in an earlier
// update) are added by unwinder_add.
struct err *unwinder_create(struct process *p, const struct maps *maps,
			    struct unwinder **ret) must_check;
// Looks at the mappings again: what is gone is forgotten, what is new is found. Frames
// from before keep their module pointers until unwinder_free.
struct err *unwinder_refresh(struct unwinder *u, const struct maps *maps) must_check;
struct err *unwinder_add(struct unwinder *u,
			 const struct loaded_module *m) must_check; // wins over others
void unwinder_free(struct unwinder *u);
void unwinder_freep(struct unwinder **u);
// The module at pc, NULL when nothing is mapped there or it cannot be opened.
const struct loaded_module *unwinder_module_at(struct unwinder *u, taddr_t pc);

// Replaces a return address that was read from a stack (gates); NULL for none.
void unwinder_set_translate(struct unwinder *u, taddr_t (*real)(void *arg, taddr_t addr),
			    void *arg);

// Walks one stopped thread, starting from the given registers. The arrays of `ret` are
// reused.
struct err *unwind_thread(struct unwinder *u, const struct user_regs_struct *regs,
			  struct frames *ret) must_check;

// Walks a thread of the process that nobody stopped, from what the kernel tells of its
// blocked system call (/proc/PID/task/TID/syscall): rsp and rip only, so that the walk is
// incomplete where a register is needed that no frame has restored. Incomplete too when
// the thread runs or moved meanwhile.
struct err *unwind_blocked(struct unwinder *u, pid_t tid, struct frames *ret) must_check;

void frames_deinit(struct frames *f);

// Whether the CFA rule and all saved-register rules at both addresses are equal (vaddrs
// of two files).
bool cfi_equal_at(struct unwinder *u, const struct module *a, vaddr_t a_pc,
		  const struct module *b, vaddr_t b_pc);
