// SPDX-License-Identifier: LGPL-2.1-or-later
// One process in an update, with all that is made for it. update.c gives the order.
#pragma once

#include "update/install.h"
#include "update/quiesce.h"
#include "update/update.h"

struct unit { // a module that is updated; when the executable is, it is the first one
	struct subject subject;
	struct plan *plan;
	struct installed installed;
};

struct job {
	const struct update_options *opt;
	struct update_result *ret;
	const struct job *like; // whose comparison of the programs may serve here too, and outlives this; or NULL
	int lock; // held until job_deinit; negative: none
	struct target target;
	VEC(struct unit *) units;
	VEC(struct plan *) plans; // of the units
	struct helper *helper;
	struct commit *commit;
	struct quiesce *quiesce;
	bool committed;
};

// The plan that takes the notes on the process as a whole.
static inline struct plan *job_plan(const struct job *j)
{
	return j->plans.v[0];
}

void job_say(const struct job *j, const char *text);
// ERR_BUSY with code interrupted when the user wants an end.
struct err *job_interrupted(const struct job *j) must_check;

// Locks and looks at the process and makes the plans; nothing is touched. j->opt, j->ret and j->like are set by the caller,
// all else is zero. After an error too: job_deinit.
struct err *job_open(struct job *j, pid_t pid, const struct update_set *set) must_check;
// Its part that opens the modules and makes the plans.
struct err *job_make_plans(struct job *j, const struct update_set *set) must_check;
// For a dry run: what the stacks say now, as notes.
struct err *job_preview(struct job *j) must_check;

// The process running: helper, leftovers, images and records, the commit, the first walk of the stacks.
struct err *job_prepare(struct job *j) must_check;

// Puts the plans' patches on the commit, in place of all that was there.
struct err *job_add_patches(struct job *j) must_check;
// After a stop in which a word had changed by itself: plans as the process is now.
struct err *job_refresh(struct job *j) must_check;
// In the stop: the moved variables as they are at this moment.
struct err *job_carry(struct job *j) must_check;

// After the commit and the thaw. Nothing may make the update fail any more: what goes wrong becomes a note.
void job_tidy(struct job *j);
// Ends what job_prepare made; without a commit the process is as it was.
void job_release(struct job *j);
// For a process that needs no update: takes away what a tool that died left in it.
struct err *job_clear(struct job *j) must_check;
void job_deinit(struct job *j);
