// SPDX-License-Identifier: LGPL-2.1-or-later
// What commit.c, commit_prepare.c and commit_execute.c share.
#pragma once

#include "arch/x86_64/payload.h"
#include "process/area.h"
#include "process/commit.h"
#include "process/memory.h"

struct granule {     // eight aligned bytes of the target that patches cover
	taddr_t key; // address / 8 + 1; 0: free
	uint8_t mask;
};

struct thread_move {
	pid_t tid;
	struct user_regs_struct regs;
};

enum commit_stage {
	COMMIT_OPEN,	 // nothing decided
	COMMIT_EXECUTED, // decided and executed, threads stopped
	COMMIT_BY_GATES, // decided; the threads finish it on their way through the gates
	COMMIT_FINISHED,
};

struct commit {
	struct process *p;
	struct helper *h;
	struct area area;
	struct commit_header *head; // in the area, as are:
	uint32_t *word; // the decision: the header's, or one shared with other processes,
	taddr_t shared; // which is here in the target; else 0
	struct commit_log_entry *log;
	struct commit_range *ranges;
	struct commit_record *records;
	size_t max_patches, max_ranges, max_threads;
	size_t n_patches, n_prepared; // used of the log and of the ranges
	const char **what;	      // of each patch
	struct granule *granules;
	size_t n_granules;	       // a power of two
	VEC(struct commit_span) pages; // prepared, sorted, disjoint, whole pages
	VEC(struct thread_move) moves;
	VEC(struct mem_range) scratch; // the tool's own verification
	enum commit_stage stage;
	struct commit_times times;
};

// The prepared page range that covers all of [addr, addr + len), or NULL.
const struct commit_span *commit_prepared(const struct commit *c, taddr_t addr,
					  uint64_t len);
// In the stop: header and records of the control area as commit_execute needs them, undecided.
struct err *commit_write_header(struct commit *c) must_check;
// Sends every thread to its gate.
struct err *commit_enter_gates(struct commit *c) must_check;
// What the threads go on with is written by process_thaw.
void commit_mark_dirty(struct commit *c);
// Exchanges the registers of moved threads with those of commit_move_thread, forth and back.
void commit_swap_moves(struct commit *c);
// Moves stopped threads out of restartable sequences.
struct err *commit_leave_rseq(struct commit *c) must_check;
// Puts the protections back that the ranges record; stops at nothing, returns the first error.
struct err *commit_unprotect(struct helper *h, const struct maps *maps,
			     const struct commit_range *ranges, size_t n) must_check;
