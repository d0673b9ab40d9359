// SPDX-License-Identifier: LGPL-2.1-or-later
// The processes of one update: one, or with --tree all that belong together. All are updated or none.
#pragma once

#include "update/moment.h"
#include "update/tree.h"

struct family {
	const struct update_options *opt;
	const struct update_set *set;
	pid_t root;
	struct update_result *ret;
	VEC(struct job *) jobs; // the first one is the root's
	VEC(struct job *) gone; // ended meanwhile; others may borrow from their plans
	struct tree tree;	// as it was last read, with --tree
	struct decision *decision; // shared by all commits; NULL as long as there is one only
	bool prepared;		   // a member that joins now is prepared at once
};

// Opens and plans all: refuses when any refuses, and names the process. After an error too: family_deinit.
struct err *family_open(struct family *f) must_check;
struct err *family_prepare(struct family *f) must_check;

// Before each attempt: opens, plans and prepares the processes that joined since, lets go of those that ended or
// started another program, and gives all commits one decision.
struct err *family_settle(struct family *f) must_check;
// In the stop: whether there are processes that are not in it yet.
struct err *family_grew(struct family *f, bool *ret) must_check;
// Whether a member (not the root) ended or started another program, which may be why there is this error (or
// NULL): then it is let go of and an attempt may be made without it.
bool family_shrank(struct family *f, const struct err *e);

// At the end: children that were forked since the commit are rid of what they have of molt's areas. Best effort:
// it does no harm there, and the next update clears it.
void family_clean_newcomers(struct family *f);

// Hands over results and notes, and frees all.
void family_deinit(struct family *f);
