// SPDX-License-Identifier: LGPL-2.1-or-later
// System calls in the threads of a living process that stands still, so that nothing is lost if the tool dies: a thread
// sent to make them has all it needs to go back by itself (gates, as in commit.h). Between process_freeze and process_thaw.
//
// A list once begun is run to its end, whatever becomes of the tool. Signals are blocked meanwhile; a call that blocks for
// seconds is an error. Calls that may send the thread a signal (SIGPIPE) leave it pending.
#pragma once

#include "process/remote.h"

// While the process runs: maps the area of code and arguments, with room for `size` bytes of arguments. Areas that tools
// which died left are cleared. ERR_BUSY (busy) when another tool has one.
struct err *ask_create(struct process *p, struct helper *h, size_t size,
		       struct remote **ret) must_check;
// Unmaps it; the process running or stopped, no thread being in it. Frees in any case.
struct err *ask_free(struct remote *r) must_check;
void ask_freep(struct remote **r); // an error is lost

// Memory files by this name hold what lists refer to; they are cleared with the areas.
#define ASK_STAGE_NAME "molt:stage"
// Unmaps what tools that died left, with the process running.
struct err *ask_recover(struct process *p, struct helper *h) must_check;

// Calls in several threads at once: much cheaper than one after the other.
struct ask_job {
	pid_t tid;
	struct syscall_req *reqs;
	size_t n;
	bool all;    // do not stop behind a call that fails
	size_t done; // how many ran, a failed one included
	bool gone;   // the thread has ended (no error)
};
struct err *ask_many(struct remote *r, struct ask_job *jobs, size_t n) must_check;

// A pair of sockets between the tool and the target's own descriptor table, for remote_give: thread r->tid stays inside the
// area from here until ask_close_channel, and closes the target's end by itself if the tool dies. Both before the thaw.
struct err *ask_open_channel(struct remote *r) must_check;
struct err *ask_close_channel(struct remote *r) must_check;

// All or nothing: a change of the whole process that is decided by one word, so that it is made as a whole or not at all,
// whatever ends the tool.
//
// Order of calls: ask_create_journal (process running); process_freeze; ask_gather; steps that can be taken back, each
// announced by ask_undo before it is made; ask_finish for each thread; ask_decide, or ask_scatter to give up; process_thaw.
// Between gather and decide calls may be made in r->tid only.

// Like ask_create, for a process of at most max_threads threads, those it is to have later included.
struct err *ask_create_journal(struct process *p, struct helper *h, size_t size,
			       size_t max_threads, struct remote **ret) must_check;
// Every thread goes into the area and stays. `first` becomes r->tid; its lists run before those of the others.
struct err *ask_gather(struct remote *r, pid_t first) must_check;
// What the first thread does, the newest first, if it is not decided. Numbers may have ASK_INDIRECT (arch/x86_64/ask.h).
struct err *ask_undo(struct remote *r, const struct syscall_req *req) must_check;
// What a thread does when it is decided. Requests may be ASK_COPY. The first one's list begins when all threads that
// end are gone, and those of the others when it is done. No list stops at a call that fails.
struct ask_finish {
	taddr_t list; // in the target's memory: struct syscall_req
	size_t n;
	bool ends; // the thread ends behind it; the rest is not used
	const struct user_regs_struct *regs; // as PTRACE_SETREGS takes them
	uint64_t sigmask;
	taddr_t xstate; // XSAVE area in the target, 64-aligned; 0: FPU and vector state stay
};
struct err *ask_finish(struct remote *r, pid_t tid, const struct ask_finish *f) must_check;
// A new thread, which waits in the area; undecided it ends. `args`: struct clone_args, in the target. -errno of clone3
// comes in *tid.
struct err *ask_spawn(struct remote *r, taddr_t args, size_t size, pid_t *tid) must_check;
// The point of no return. *decided: every thread that stays stands with its new registers, to be let go by process_thaw.
// Not decided: nothing is changed for good, ask_scatter is to be called.
struct err *ask_decide(struct remote *r, bool *decided) must_check;
// Takes all steps back and gives the threads their registers.
struct err *ask_scatter(struct remote *r) must_check;
