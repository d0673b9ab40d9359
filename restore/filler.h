// SPDX-License-Identifier: LGPL-2.1-or-later
// A process of its own that brings the memory of rebuilt processes: what they touch first, the rest in the background, every
// block compared with its hash. When it fails, or is ended, the rebuilt processes are ended: zeros are never taken for data.
#pragma once

#include "restore/moves.h"

struct filler_space { // an address space
	int uffd;
	int pidfd; // of the process, to end it; -1: a later child of one
	pid_t pid;
	struct pending_memory pending;
	struct moves moves;
};

struct filler_spaces {
	VEC(struct filler_space) v;
};

// Starts it; it has copies of all it needs. *report: one line comes there when it is done, "ok NANOSECONDS" (monotonic), or
// "failed WHY".
struct err *filler_start(struct filler_spaces *spaces, int *report) must_check;
void filler_spaces_deinit(struct filler_spaces *s);
// Waits for the line; *when gets the time. ERR_CORRUPT with what it says when it failed.
struct err *filler_wait(int report, uint64_t *when) must_check;
