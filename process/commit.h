// SPDX-License-Identifier: LGPL-2.1-or-later
// The commit: a redo log with one decision word, gates for every thread (findings-safety.md 6-11).
//
// All changes to a stopped target's memory are one list {address, old bytes, new bytes}. The old bytes are
// verified before the first write; the list is also the undo log. Whatever kills the tool, the threads go
// on through their gates: decision 0 puts each back where it was, decision 2 finishes the log first.
#pragma once

#include "process/helper.h"
#include "process/maps.h"

enum { PATCH_MAX = 8 };

struct patch {
	taddr_t addr;
	uint8_t len; // 1..8
	uint8_t old_bytes[PATCH_MAX], new_bytes[PATCH_MAX];
	const char *what; // "entry jump", "return address", "link_map" ...; static, for messages
};

struct commit;

// Allocates the control area in the target (log room for max_patches, tails for max_threads) near `near`.
struct err *commit_create(struct process *p, struct helper *h, taddr_t near, size_t max_patches,
			  size_t max_threads, struct commit **ret) must_check;

// Makes every page that [addr, addr + len) touches writable and private (copy on write now), keeping its
// other protections; the protection of before is remembered and put back by commit_finish. Process running.
struct err *commit_prepare_range(struct commit *c, const struct maps *maps, taddr_t addr,
				 uint64_t len) must_check;

// Adds a patch; may be called before and in the stop. Two patches of one place: error.
struct err *commit_add(struct commit *c, const struct patch *patch) must_check;
// Drops what was added after this mark (retry after a failed attempt).
size_t commit_mark(const struct commit *c);
void commit_reset(struct commit *c, size_t mark);

// In the stop: verifies every old byte (mismatch: ERR_ROLLED_BACK with code text-changed or data-changed
// and the address, nothing was written), sends the threads to their gates with their old registers as the
// undecided way and thread.regs as the decided one, sets the decision word, and executes the log in the
// target. Afterwards the threads' new registers stand in thread.regs, and process_thaw lets them go.
struct err *commit_execute(struct commit *c) must_check;

// Undo after commit_execute and before process_thaw: all old bytes and old registers again.
struct err *commit_undo(struct commit *c) must_check;

// After the thaw: protections back, control area unmapped.
struct err *commit_finish(struct commit *c) must_check;
void commit_free(struct commit *c);
void commit_freep(struct commit **c);

// Named fault points: when the environment's MOLT_FAULT is "name" the tool fails there with an error, when
// "kill:name" it kills itself by SIGKILL there. The names stand in one table in process/fault.c.
struct err *fault_point(const char *name) must_check;
