// SPDX-License-Identifier: LGPL-2.1-or-later
// The live update: order of operations (design 2.2).
#pragma once

#include <sys/types.h>

#include "diff/diff.h"
#include "util/vec.h"

// One module to be updated.
struct update_module {
	// Which: NULL or "" is the executable; else a library by its path, its file name or its soname, as ld.so
	// has it.
	const char *old;
	const char *new_path;
};

struct update_set { // at least one, each module once
	const struct update_module *v;
	size_t n;
};

struct update_options {
	double wait_seconds; // for quiescence
	const char *at;	     // function whose return is the moment, or NULL
	const char *const *keep_old;
	size_t n_keep_old;
	const char *debug_dir;
	bool allow_holes;
	bool allow_lost; // variables that NEW lacks may go, with what they hold
	bool named_only; // libraries that lie beside the new program stay as they are
	bool dry_run;	 // plan only: nothing is stopped
	bool tree; // the process and its descendants that run the same program: all or none
	// Give up (ERR_BUSY, generation-changed) when the process is in another one by now; may be NULL.
	const unsigned *expected_generation;
	void (*progress)(void *arg, const char *text);
	bool (*interrupted)(void *arg); // true: give up; may be NULL
	void *arg;
};

struct update_result {
	pid_t pid;
	char comm[16];
	unsigned generation; // that runs when the call returns
	bool already;	     // it ran these very files: nothing was done
	char old_build_id[65], new_build_id[65];
	size_t threads;
	size_t count[FUNC_REMOVED + 1]; // functions by enum func_verdict
	size_t merged, conflicts, jumps;
	uint64_t stop_ns;  // critical stop: first thread stopped to last released
	uint64_t stop2_ns; // the stop after it
	// Shares of the critical stop: waiting for the threads, judging their stacks, the commit, letting go.
	uint64_t freeze_ns, judge_ns, commit_ns, thaw_ns;
	unsigned attempts;
	VEC(char *) notes;
	// With opt->tree: one for each process, the first one's own included. `threads` above is their sum.
	VEC(struct update_result *) members;
};

// Moves modules of process `pid` into their new files, all in the same stop. An error of kind ERR_REFUSED or
// ERR_BUSY means that the process goes on as it was; ERR_ROLLED_BACK that all was put back. `ret` is filled as far as things got,
// also with an error; update_result_deinit frees it.
struct err *update_run(pid_t pid, const struct update_set *set,
		       const struct update_options *opt, struct update_result *ret)
	must_check;
void update_result_deinit(struct update_result *r);
