// SPDX-License-Identifier: LGPL-2.1-or-later
// What process/*.c share about a process and others need not know.
#pragma once

#include "os/kernel.h"
#include "process/process.h"

struct process_impl {
	bool own_child;	   // the tool is its parent: the caller reaps it
	pid_t helper;	   // 0 when there is none
	VEC(pid_t) strays; // processes (not threads) that attached by themselves
	bool replaced;	   // it called exec while it was traced
	bool boosted;
	struct uapi_sched_attr own_policy;
};

// The error of a thread that is no longer there.
struct err *thread_gone(const struct process *p, pid_t tid) must_check;
