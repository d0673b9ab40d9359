// SPDX-License-Identifier: LGPL-2.1-or-later
// Finding the moment: judges every frame of every thread, moves those that may go on in the new program,
// waits behind return gates for those that must return first (design 2, points 3 and 4).
#pragma once

#include "process/commit.h"
#include "process/gate.h"
#include "process/unwind.h"
#include "update/plan.h"

struct quiesce_options {
	double wait_seconds;
	const char *at; // function whose return is the moment, or NULL
	const char *const *keep_old;
	size_t n_keep_old;
	void (*progress)(void *arg, const char *text);
	void *arg;
};

// Where the time of the last stop went, in ns.
struct quiesce_times {
	uint64_t freeze; // until the last thread had stopped
	uint64_t judge;	 // unwinding, judging, collecting the moves
};

struct quiesce; // judgements made so far, gates, the unwinder

struct err *quiesce_create(struct plan *p, struct helper *h,
			   const struct quiesce_options *opt, struct quiesce **ret)
	must_check;
void quiesce_free(struct quiesce *q);
void quiesce_freep(struct quiesce **q);

// Walks each thread once, one at a time, so that all rules and verdicts are at hand in the stop.
struct err *quiesce_rehearse(struct quiesce *q) must_check;

// Stops the process when every frame may be moved and adds the moves to the commit. The process is frozen
// when this returns without an error, and runs when it returns with one: ERR_BUSY with code not-quiescent
// names thread, function, source line and call path. *first_stop: when the first thread stopped.
struct err *quiesce_freeze(struct quiesce *q, struct commit *c, uint64_t deadline,
			   uint64_t *first_stop) must_check;

// Its parts, for a plan that looks without stopping.
struct judge;
struct judge *quiesce_judge(struct quiesce *q);
struct unwinder *quiesce_unwinder(struct quiesce *q);

// After the thaw: gates go. Also counts how often the process was stopped in vain.
unsigned quiesce_attempts(const struct quiesce *q);
struct quiesce_times quiesce_last_times(const struct quiesce *q);
