// SPDX-License-Identifier: LGPL-2.1-or-later
// A target process: its threads, stopping and releasing them.
//
// Threads are seized with PTRACE_SEIZE, stopped with PTRACE_INTERRUPT and let go with
// PTRACE_DETACH: between two stops nobody traces them (the helper thread apart), so that
// signals and new threads never wait for the tool. Registers change only at
// PTRACE_EVENT_STOP. Only process/wait.c calls waitid. All calls for one process come
// from the thread that seized it. If the tool dies, every thread goes on.
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <sys/user.h>

#include "util/error.h"
#include "util/types.h"
#include "util/vec.h"

enum thread_state {
	THREAD_RUNNING, // not stopped; traced only while a freeze is under way or after
			// thread_continue
	THREAD_STOPPED, // at PTRACE_EVENT_STOP, regs and sigmask are valid
	THREAD_GONE,
};

struct thread {
	pid_t tid;
	enum thread_state state;
	bool traced;		      // seized by us
	struct user_regs_struct regs; // as read at the stop; what the thread gets back when released
	uint64_t sigmask;
	bool regs_dirty; // set by whoever changes regs: they are written when it is
			 // released
	bool mask_dirty; // the same for sigmask
	bool group_stop; // the process is in a job-control stop (T); it stays in it after
			 // the release
	uint64_t released; // when it was last let go (monotonic ns), 0: never
	// The system call in which a stop first found it, which a second stop sees as restart_syscall.
	struct {
		long nr; // -1: none
		uint64_t rip, rsp, rdi, rsi;
	} waits_in;
	char comm[16];
};

struct process_impl;

struct process {
	pid_t pid;
	char comm[16];
	char *exe; // readlink of /proc/PID/exe, without " (deleted)"
	bool exe_deleted;
	uid_t uid;
	// Known threads; the helper thread is not among them. Valid until the next
	// freeze: that one adds and drops elements.
	VEC(struct thread) threads;
	struct process_impl *impl;
};

// Looks at a process without stopping it: exists, is no kernel thread, is not molt
// itself, is not traced already (code already-traced names the tracer's pid), is x86-64
// (code not-64-bit), may be traced by us (ERR_PERM, code no-permission, naming the
// capability or sysctl).
struct err *process_open(pid_t pid, struct process **ret) must_check;

// Seizes all threads without stopping them. Optional: process_freeze does it. To be
// followed by the freeze at once, for a seized thread that gets a signal waits for the
// tool.
struct err *process_seize(struct process *p) must_check;

// Stops every thread, in rounds until the list is stable; new threads are included. All
// are at PTRACE_EVENT_STOP afterwards and their regs and sigmask read. Restart of
// interrupted system calls: epoll_wait and its kind (EINTR after any stop) get rax = -514
// so that the kernel restarts them. When a thread does not stop (state D) the others go on soon, and it is tried
// again. ERR_BUSY with the thread named when it does not
// succeed before the deadline (monotonic ns): everything runs again then. The time the
// first thread stopped is in *first_stop (monotonic ns, may be NULL).
struct err *process_freeze(struct process *p, uint64_t deadline, uint64_t *first_stop)
	must_check;

// Lets all go on. Writes back changed registers and masks. Returns the first error but
// goes on to the last thread whatever happens. *last_release gets the monotonic time at
// the end (may be NULL).
struct err *process_thaw(struct process *p, uint64_t *last_release) must_check;

// Stops one thread only: seizes it if need be. ERR_BUSY at the deadline.
struct err *thread_stop(struct process *p, struct thread *t, uint64_t deadline) must_check;
// Lets one stopped thread go on, with its (changed) registers and mask; it is no longer
// traced.
struct err *thread_release(struct process *p, struct thread *t) must_check;

// For gates. Writes registers, then the mask, of a stopped thread at once; t->regs and
// t->sigmask stay as they are.
struct err *thread_set(struct process *p, struct thread *t,
		       const struct user_regs_struct *regs, uint64_t sigmask) must_check;
// Lets a stopped thread run and keeps it traced (state THREAD_RUNNING).
struct err *thread_continue(struct process *p, struct thread *t) must_check;
// Stops it again and gives its registers; t->regs and t->sigmask stay as they are. With
// `now` NULL the registers are not read. Interrupt several threads first
// (thread_interrupt) to have them stop together.
struct err *thread_interrupt(struct process *p, struct thread *t) must_check;
struct err *thread_catch(struct process *p, struct thread *t, uint64_t deadline,
			 struct user_regs_struct *now) must_check;

struct thread *process_thread(struct process *p, pid_t tid); // NULL when unknown
// The system call that a stop broke off, as far as this tool has seen it begin: of one that goes on by restart_syscall the
// original one, else SYS_restart_syscall.
long thread_waits_in(const struct thread *t);

// Lets everything go on that is still stopped, forgets all.
void process_close(struct process *p);
void process_closep(struct process **p);

bool process_alive(const struct process *p);

// Raises the tool and the helper thread to SCHED_FIFO for the critical stop, and, when there is a helper, the
// target's threads within each process_freeze; a no-op without permission. Each one's own policy comes back: the
// tool's by process_unboost, the threads' as soon as they stand, also when the tool dies.
void process_boost(struct process *p);
void process_unboost(struct process *p);

uint64_t monotonic_ns(void);
