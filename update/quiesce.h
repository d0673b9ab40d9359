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

struct quiesce; // judgements made so far, gates, the unwinder

// `plans`: of all modules that are updated, at least one; all of one process. The array need not stay.
struct err *quiesce_create(struct plan *const *plans, size_t n, struct helper *h,
			   const struct quiesce_options *opt, struct quiesce **ret)
	must_check;
void quiesce_free(struct quiesce *q);
void quiesce_freep(struct quiesce **q);

// Walks each thread once, one at a time, so that all rules and verdicts are at hand in the stop.
struct err *quiesce_rehearse(struct quiesce *q) must_check;

// The steps of an attempt (update/moment.c); several processes may take them together.
// In the stop: takes the gates off the stacks and judges all frames. *ready: all may move, and their moves are
// on the commit.
struct err *quiesce_look(struct quiesce *q, struct commit *c, bool *ready) must_check;
// In the same stop, when not all were ready: gates where a frame must return first.
struct err *quiesce_plant(struct quiesce *q) must_check;
bool quiesce_planted(const struct quiesce *q);
// Running again: works out the verdicts that were not known in the stop, makes gates for the next one.
struct err *quiesce_answer(struct quiesce *q) must_check;
// Until all planted gates hold their threads at the same time, or the deadline.
struct err *quiesce_wait(struct quiesce *const *q, size_t n, uint64_t deadline) must_check;

// Running: whether a thread that the last look found in the way surely still is, as it blocks there. Costs the
// process nothing.
bool quiesce_still_waits(struct quiesce *q);
// Whether a coroutine rests in changed code, as far as that is seen without a stop: memory changes meanwhile.
struct err *quiesce_rests(struct quiesce *q, bool *ret) must_check;

// What the last look found: whether only verdicts that were being worked out stood in the way; the first
// obstacle's reason, or NULL; the error ERR_BUSY not-quiescent that names thread, function, source line and
// call path.
bool quiesce_only_unjudged(const struct quiesce *q);
const char *quiesce_obstacle(const struct quiesce *q);
struct err *quiesce_failed(const struct quiesce *q) must_check;
uint64_t quiesce_judge_ns(const struct quiesce *q);

// Its parts, for a plan that looks without stopping.
struct judge;
struct judge *quiesce_judge(struct quiesce *q);
struct unwinder *quiesce_unwinder(struct quiesce *q);
