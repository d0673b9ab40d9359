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
