// SPDX-License-Identifier: LGPL-2.1-or-later
// The processes that belong together: one and its descendants that run the same program.
#pragma once

#include <sys/types.h>

#include "util/vec.h"

struct tree {
	VEC(pid_t) members; // the first one is the root; parents before their children
	VEC(pid_t) others;  // descendants that run another program
};

// Looks only. A child that has its parent's memory (vfork) is waited for; where it stays so: refused, code
// shared-memory.
struct err *tree_read(pid_t root, struct tree *ret) must_check;
void tree_deinit(struct tree *t);

// Whether the tree has a member now that is not among these. Quick, for use in the stop.
struct err *tree_grew(pid_t root, const pid_t *known, size_t n, bool *ret) must_check;

// How many descendants run the program of `root`, as far as can be seen.
size_t tree_relatives(pid_t root);

// Whether there is such a process that has not ended.
bool tree_alive(pid_t pid);

// Whether they run the same program: by the file, or by what the records of updates say.
bool tree_same_program(pid_t root, pid_t pid);
