// SPDX-License-Identifier: LGPL-2.1-or-later
// Waiting for one traced thread to stop, with a deadline.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum stop_kind {
	STOP_NONE,    // nothing until the deadline
	STOP_EVENT,   // PTRACE_EVENT_STOP: interrupted, or a new thread's first stop
	STOP_GROUP,   // PTRACE_EVENT_STOP of a job-control stop
	STOP_CLONE,   // PTRACE_EVENT_CLONE, inside the system call
	STOP_EXEC,    // PTRACE_EVENT_EXEC, inside the system call
	STOP_SYSCALL, // entry or exit, PTRACE_O_TRACESYSGOOD
	STOP_SIGNAL,  // about to take the signal `sig`
	STOP_OTHER,
	STOP_EXITED, // a zombie, until wait_reap
	STOP_LOST,   // not (or no longer) a tracee of this thread
};

struct stop {
	enum stop_kind kind;
	int sig;
};

// The stop stays unconsumed: should the tool die, a signal that is about to be taken is
// still delivered. SIGCHLD is blocked in the calling thread meanwhile and may be taken
// off its queue.
struct stop wait_stop(pid_t tid, uint64_t deadline);

// Takes a zombie thread away.
void wait_reap(pid_t tid);

// Waits until it has ended and takes it away; for one that was killed. Nothing when it is not ours.
void wait_end(pid_t tid);
