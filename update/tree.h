// SPDX-License-Identifier: LGPL-2.1-or-later
// The processes that belong together: one and its descendants that run the same program.
#pragma once

#include <sys/stat.h>

#include "util/error.h"
#include "util/vec.h"

struct outsider {
	pid_t pid;
	struct stat exe; // all zero when it could not be seen
};

struct tree {
	VEC(pid_t) members; // the first one is the root; parents before their children
	VEC(struct outsider) others; // descendants that run another program
};

// Looks only. A child that has its parent's memory (vfork) is waited for; where it stays so: refused, code
// shared-memory.
struct err *tree_read(pid_t root, struct tree *ret) must_check;
void tree_deinit(struct tree *t);

// Whether there is a member now that is not among `known`. Quick, for use in the stop: whoever ran another program
// when the tree was read and runs the same file still, is looked at no further.
struct err *tree_grew(const struct tree *was, const pid_t *known, size_t n, bool *ret)
	must_check;

// How many descendants run the program of `root`, as far as can be seen.
size_t tree_relatives(pid_t root);

// Whether there is such a process that has not ended.
bool tree_alive(pid_t pid);

// Whether they run the same program: by the file, or by what the records of updates say.
bool tree_same_program(pid_t root, pid_t pid);
