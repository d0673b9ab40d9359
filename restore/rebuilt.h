// SPDX-License-Identifier: LGPL-2.1-or-later
// All processes that one restore makes; shared by files of restore/.
#pragma once

#include "restore/build.h"
#include "restore/filler.h"
#include "restore/memories.h"
#include "restore/space.h"

struct replaced_process {
	struct process *process; // stands still
	struct handover handover;
};

struct replaced {
	VEC(struct replaced_process *)
	v; // the one that was named first, parents before their children
	bool rests;
};

// replace.c
struct err *replaced_take(pid_t pid, bool tree, struct replaced **ret) must_check;
// A slip of the pid must not end another program: the name or the program's file name is that of the checkpoint.
struct err *replaced_check(const struct replaced *p, const json_t *manifest) must_check;
int replaced_kill(const struct replaced *p); // 0 or -errno
void replaced_collect(struct replaced *p);   // the killed ones
// Whether the id is free, or becomes free soon.
bool replaced_wait_id(pid_t id);
void replaced_free(struct replaced *p); // one that was not ended goes on

// Ends what they take the place of with `end` (0 or -errno). Before it they end with the tool, after it they go on without it.
struct err *rebuilt_succeed(struct rebuilt *r, int (*end)(void *arg), void *arg)
	must_check;

struct rebuilt {
	const struct checkpoint *checkpoint;
	struct rebuild_options opt;
	struct restoring *all; // its own, or that of `before`
	struct restoring own;
	bool kept;		   // processes run with what it made
	size_t plan_notes;	   // remarks before anything was made
	struct rebuilt *before;	   // the same once more: objects are shared with it
	struct replaced *replaced; // --replace; NULL: none
	struct memories memories;
	struct site *site;
	struct filler_spaces spaces;
	int report;		    // of the filler; -1: none is at work
	uint64_t resident;	    // when all memory was there, without a filler
	VEC(struct build *) builds; // the root of the tree first, parents before their children
};

// tree.c: how the processes come from each other.
struct err *tree_plan(struct rebuilt *r) must_check; // parents, channels
struct err *tree_make(struct rebuilt *r)
	must_check; // all processes, each still empty; ended children
