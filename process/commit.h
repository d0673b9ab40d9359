// SPDX-License-Identifier: LGPL-2.1-or-later
// The commit: a redo log with one decision word, gates for every thread
// (findings-safety.md 6-11).
//
// All changes to a stopped target's memory are one list {address, old bytes, new bytes}.
// The old bytes are verified before the first write; the list is also the undo log.
// Whatever kills the tool, the threads go on through their gates: undecided puts each
// back where it was, decided finishes the log first.
//
// Order of calls: commit_create, commit_prepare_*, commit_add (process running);
// process_freeze; further commit_add; commit_move_thread; commit_execute; process_thaw;
// commit_finish; commit_free. A failed attempt: process_thaw, commit_reset to the mark,
// process_freeze, and again. Giving up: commit_finish.
#pragma once

#include "process/decision.h"
#include "process/fault.h"
#include "process/helper.h"
#include "process/maps.h"

enum { PATCH_MAX = 8 };

struct patch {
	taddr_t addr;
	uint8_t len; // 1..8
	uint8_t old_bytes[PATCH_MAX], new_bytes[PATCH_MAX];
	const char *what; // "entry jump", "return address", "link_map" ...; static, for
			  // messages
};

struct commit_span {
	taddr_t addr;
	uint64_t len;
};

struct commit_times {	// of the last commit_execute, in ns
	uint64_t log;	// header, records and page ranges of the log
	uint64_t gates; // sending the threads to their gates
	uint64_t run; // verify, decide and redo in the target, with the way there and back
};

struct commit;

// Allocates the control area in the target (log room for max_patches, gates for
// max_threads) near `near`.
struct err *commit_create(struct process *p, struct helper *h, taddr_t near,
			  size_t max_patches, size_t max_threads, struct commit **ret)
	must_check;

// Several commits that are to be one, each in a process of its own: all get the same decision, before any of
// them is executed, and go into commit_execute_all together.
struct err *commit_share(struct commit *c, const struct decision *d) must_check;
bool commit_is_shared(const struct commit *c);

// Makes every page that [addr, addr + len) touches writable and private (copy on write
// now), keeping its other protections; the protection of before is remembered and put
// back by commit_finish. Process running. A page that is shared with other processes or
// not mapped: ERR_REFUSED, nothing changed.
struct err *commit_prepare_range(struct commit *c, const struct maps *maps, taddr_t addr,
				 uint64_t len) must_check;
// The same for many at once, in any order, overlapping or not: pages are merged first, so
// that thousands cost a few system calls. The array is sorted.
struct err *commit_prepare_ranges(struct commit *c, const struct maps *maps,
				  struct commit_span *spans, size_t n) must_check;

// Adds a patch; may be called before and in the stop. Two patches of one place: error.
// They are written in the order of adding (and undone in reverse), so entry jumps are
// added last. Places outside of prepared pages must be writable (stacks, heap); what
// is known before the stop is better prepared, for its page faults then lie before the stop.
struct err *commit_add(struct commit *c, const struct patch *patch) must_check;
// Drops what was added after this mark (retry after a failed attempt).
size_t commit_mark(const struct commit *c);
void commit_reset(struct commit *c, size_t mark);

// In the stop, before commit_execute: the registers thread `tid` goes on with when the
// commit succeeds. thread.regs must keep the old ones until then. Threads without a call
// here stay where they are. Calls of an earlier attempt are forgotten when commit_execute
// returns an error, and by commit_reset.
struct err *commit_move_thread(struct commit *c, pid_t tid,
			       const struct user_regs_struct *new_regs) must_check;

// In the stop: verifies every old byte (mismatch: ERR_ROLLED_BACK with code text-changed
// or data-changed and the address, nothing was written), sends the threads to their gates
// with thread.regs as the undecided way and those of commit_move_thread as the decided
// one, sets the decision word, and executes the log in the target. Afterwards the
// threads' new registers stand in thread.regs, and process_thaw lets them go. After an
// error the old registers stand there: call process_thaw in any case. No thread may be
// inside a return gate (gates_withdraw first).
struct err *commit_execute(struct commit *c) must_check;
// The same for several with one decision: all or none, whatever ends the tool. Every log is verified and all
// threads of all stand at their gates before the decision; a process that dies on the way has no part in it.
struct err *commit_execute_all(struct commit *const *c, size_t n) must_check;
// For `molt status`: says in the process that the tool waits, and that it does no longer.
void commit_show_waiting(struct commit *c, bool waiting);
void commit_times(const struct commit *c, struct commit_times *ret);

// Whether the process goes on with the new bytes, whatever error a call returned.
bool commit_in_force(const struct commit *c);

// Undo after commit_execute and before process_thaw: all old bytes and old registers
// again.
struct err *commit_undo(struct commit *c) must_check;
struct err *commit_undo_all(struct commit *const *c, size_t n) must_check;
// The same because of `e`, which comes back as ERR_ROLLED_BACK; what kept it from being undone, if something did.
struct err *commit_take_back(struct commit *const *c, size_t n, struct err *e) must_check;

// After the thaw: protections back, control area unmapped. May be called again after an
// error.
struct err *commit_finish(struct commit *c) must_check;
void commit_free(struct commit *c);
void commit_freep(struct commit **c);

// What a tool that died left in the process.
struct commit_leftover {
	unsigned commits;   // control areas found
	unsigned committed; // of these, how many had been decided (their log is executed)
	unsigned gate_areas; // return gate areas found
	unsigned kept; // areas that a thread may still come back to: left mapped, harmless
};

// Called by a later tool before anything else, with the process running: finds the areas
// of tools that are dead, takes their gates off the stacks, puts protections back and
// unmaps. ERR_BUSY (code busy) when such a tool still lives. Stops the process for a
// moment only when there is something to clear.
struct err *commit_recover(struct process *p, struct helper *h,
			   struct commit_leftover *ret) must_check;
