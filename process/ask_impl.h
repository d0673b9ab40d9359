// SPDX-License-Identifier: LGPL-2.1-or-later
// What ask*.c share.
#pragma once

#include "arch/x86_64/ask.h"
#include "process/area.h"
#include "process/ask.h"

#define ASK_AREA_NAME "molt:ask"

enum {
	ASK_THREADS = 512, // in one round
	ASK_REQS = 4096,
	ASK_STAYING = ASK_THREADS, // the first record of those that stay
	ASK_STAYING_MAX = 8192,
	ASK_UNDO = 4096,
};

struct ask_outcome { // what a thread goes on with when it is decided
	struct user_regs_struct regs;
	uint64_t sigmask;
};

struct ask {
	struct remote remote;
	struct process *p;
	struct helper *h;
	struct area area;
	struct ask_header *head; // in the area, as are:
	struct ask_record *records;
	struct syscall_req *reqs;
	struct syscall_req *undo; // list of the first one that stays, filled from its end
	int32_t *pair;		  // of the channel; NULL: closed
	size_t max_staying, max_undo;
	// They stay in the area, with the records from ASK_STAYING on.
	VEC(pid_t) staying;
	VEC(struct ask_outcome) outcomes; // of those that stay
	bool gathered;			  // by ask_gather
	bool stuck; // a thread could not be taken out: the area stays
};

static inline struct ask *ask_of(struct remote *r)
{
	return (struct ask *)r;
}

struct err *ask_create_with(struct process *p, struct helper *h, size_t size,
			    size_t staying, size_t undo, struct ask **ret) must_check;
// The target's address of a place in the area.
taddr_t ask_at(const struct ask *a, const void *place);

// Records. ask_reset_record empties one and prepares its exits; ask_stay takes one for a thread that stays (NULL: there is
// none left), ask_staying gives it (NULL: it does not stay).
void ask_reset_record(struct ask *a, size_t i, pid_t tid);
struct ask_record *ask_stay(struct ask *a, pid_t tid);
struct ask_record *ask_staying(struct ask *a, pid_t tid);

// Moves a thread out of a restartable sequence; ERR_BUSY in 32-bit code.
struct err *ask_check_place(struct ask *a, struct thread *t) must_check;
// Sends a stopped thread to its record; it does not run yet. From here on it is in the area, whatever happens to the tool.
struct err *ask_enter(struct ask *a, struct thread *t, const struct ask_record *rec)
	must_check;
// Waits until all jobs' threads have done what they were sent for, or are gone.
void ask_wait(struct ask *a, struct ask_job *jobs, size_t n);
// Gives a thread that is in the area and stopped its registers and mask back.
struct err *ask_put_back(struct ask *a, pid_t tid) must_check;
// Runs lists in threads, at most ASK_THREADS and ASK_REQS in all.
struct err *ask_round(struct ask *a, struct ask_job *jobs, size_t n) must_check;
struct err *ask_calls(struct remote *r, pid_t tid, struct syscall_req *reqs, size_t n,
		      bool all, size_t *done) must_check;
