// SPDX-License-Identifier: LGPL-2.1-or-later
// A target process: its threads, stopping and releasing them.
//
// Threads are seized with PTRACE_SEIZE and stopped with PTRACE_INTERRUPT. Registers change only at
// PTRACE_EVENT_STOP. Only process.c calls waitid. If the tool dies, every seized thread goes on by itself.
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <sys/user.h>

#include "util/error.h"
#include "util/types.h"
#include "util/vec.h"

enum thread_state {
	THREAD_RUNNING, // seized, not stopped
	THREAD_STOPPED, // at PTRACE_EVENT_STOP, regs and sigmask are valid
	THREAD_GONE,
};

struct thread {
	pid_t tid;
	enum thread_state state;
	struct user_regs_struct regs; // as read at the stop; what the thread gets back when released
	uint64_t sigmask;
	bool regs_dirty;   // set by whoever changes regs: they are written when it is released
	bool group_stop;   // the process was in a job-control stop (T) when seized
	int pending_signal; // consumed from a signal-delivery-stop, given back at release
	char comm[16];
};

struct process {
	pid_t pid;
	char comm[16];
	char *exe; // readlink of /proc/PID/exe, without " (deleted)"
	bool exe_deleted;
	uid_t uid;
	VEC(struct thread) threads; // the helper thread is not among them
	void *impl;
};

// Looks at a process without stopping it: exists, is no kernel thread, is not molt itself, is not traced
// already (code already-traced names the tracer's pid), is x86-64 (code not-64-bit), may be traced by us
// (ERR_PERM naming the capability or sysctl).
struct err *process_open(pid_t pid, struct process **ret) must_check;

// Seizes all threads without stopping them; threads created later attach by themselves.
struct err *process_seize(struct process *p) must_check;

// Stops every thread, in rounds until the list is stable; new threads are included. All are at
// PTRACE_EVENT_STOP afterwards and their regs and sigmask read. Restart of interrupted system calls:
// epoll_wait and its kind (EINTR after any stop) get rax = -514 so that the kernel restarts them.
// ERR_BUSY with the thread named when it does not succeed before the deadline (monotonic ns): everything
// runs again then. The time the first thread stopped is in *first_stop (monotonic ns).
struct err *process_freeze(struct process *p, uint64_t deadline, uint64_t *first_stop) must_check;

// Stops one thread only.
struct err *thread_stop(struct process *p, struct thread *t, uint64_t deadline) must_check;
// Lets one stopped thread go on, with its (changed) registers and the signal it had pending.
struct err *thread_release(struct process *p, struct thread *t) must_check;

// Lets all go on. Writes back changed registers and masks. Returns the first error but goes on to the
// last thread whatever happens. *last_release gets the monotonic time at the end.
struct err *process_thaw(struct process *p, uint64_t *last_release) must_check;

// Detaches from all threads, releasing stopped ones first.
void process_close(struct process *p);
void process_closep(struct process **p);

bool process_alive(const struct process *p);

// Raises tool and target threads to SCHED_FIFO for the critical stop; a no-op without permission. Each
// thread's own policy is put back by process_unboost.
void process_boost(struct process *p);
void process_unboost(struct process *p);

uint64_t monotonic_ns(void);
