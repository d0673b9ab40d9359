// SPDX-License-Identifier: LGPL-2.1-or-later
// What ask.c and ask_run.c share.
#pragma once

#include "arch/x86_64/ask.h"
#include "process/area.h"
#include "process/ask.h"

#define ASK_AREA_NAME "molt:ask"

enum {
	ASK_THREADS = 512, // in one round
	ASK_REQS = 4096,
};

struct ask {
	struct remote remote;
	struct process *p;
	struct helper *h;
	struct area area;
	struct ask_header *head; // in the area, as are:
	struct ask_record *records;
	struct syscall_req *reqs;
	pid_t parked;  // this thread stays in the area, with the last record; 0: none
	bool stuck;    // a thread could not be taken out: the area stays
	int32_t *pair; // of the channel, in the area
};

enum { ASK_PARKED = ASK_THREADS }; // the record of the parked thread

static inline struct ask *ask_of(struct remote *r)
{
	return (struct ask *)r;
}

taddr_t ask_at(const struct ask *a,
	       const void *place); // the target's address of a place in the area
// Runs lists in threads, at most ASK_THREADS and ASK_REQS in all.
struct err *ask_round(struct ask *a, struct ask_job *jobs, size_t n) must_check;
// Gives a thread that is in the area and stopped its registers and mask back.
struct err *ask_put_back(struct ask *a, pid_t tid) must_check;
struct err *ask_calls(struct remote *r, pid_t tid, struct syscall_req *reqs, size_t n,
		      bool all, size_t *done) must_check;
