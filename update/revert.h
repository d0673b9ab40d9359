// SPDX-License-Identifier: LGPL-2.1-or-later
// Going back to the programs of an earlier generation: an update whose new files the records name.
#pragma once

#include "update/record.h"
#include "update/update.h"

enum { REVERT_PREVIOUS = -1 };

struct revert {
	uint32_t from, to; // generations of the process
	// What must be updated: names as ld.so has them ("" the executable) and files, of which some may lie in the
	// store.
	VEC(struct update_module) modules;
};

// What a revert of the process means, and whether the files are there. `to`: a generation below the one that runs, or
// REVERT_PREVIOUS. Refused: never-updated, not-the-program (a file is gone), no-generation. Nothing is stopped.
struct err *revert_look(pid_t pid, int64_t to, struct revert *ret) must_check;
void revert_deinit(struct revert *r);

// Does it. It is one more generation.
struct err *revert_run(pid_t pid, int64_t to, const struct update_options *opt,
		       struct update_result *ret) must_check;
