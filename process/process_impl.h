// SPDX-License-Identifier: LGPL-2.1-or-later
// What process/*.c share about a process and others need not know.
#pragma once

#include "os/kernel.h"
#include "process/process.h"

struct process_impl {
	bool own_child;	     // the tool is its parent: the caller reaps it
	pid_t helper;	     // 0 when there is none
	taddr_t helper_area; // of the helper when it runs there, else 0
	VEC(pid_t) strays;   // processes (not threads) that attached by themselves
	bool replaced;	     // it called exec while it was traced
	taddr_t libc_start, libc_end; // text of the C library; 0, 0: not found
	struct boost *boost;	      // NULL when nothing is raised
};

// Within a freeze, when process_boost is in force: raises the threads until they stand, and puts their own
// policy back.
void boost_threads(struct process *p);
void unboost_threads(struct process *p);

// The error of a thread that is no longer there.
struct err *thread_gone(const struct process *p, pid_t tid) must_check;
