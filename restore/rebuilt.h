// SPDX-License-Identifier: LGPL-2.1-or-later
// All processes that one restore makes; shared by files of restore/.
#pragma once

#include "restore/build.h"
#include "restore/filler.h"
#include "restore/memories.h"
#include "restore/space.h"

struct rebuilt {
	const struct checkpoint *checkpoint;
	struct rebuild_options opt;
	struct restoring all;
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
