// SPDX-License-Identifier: LGPL-2.1-or-later
// The order of a live update; see update.h and docs/design.md, "Order of an update".
#include "update/update.h"

#include <stdlib.h>
#include <string.h>

#include "process/fault.h"
#include "update/moment.h"
#include "util/cleanup.h"

enum {
	MAX_TRIES = 5, // a word that was to be changed changed by itself: look again
	STEADY_WAIT_S = 5,
};

void update_result_deinit(struct update_result *r)
{
	vec_for_each(n, &r->notes)
		free(*n);
	vec_free(&r->notes);
}

// In the stop: what must be as it is at this very moment, then the commit.
static struct err *commit_now(struct job *j)
{
	TRY(job_carry(j));
	TRY(fault_point("update-before-commit"));
	TRY(commit_execute(j->commit));
	struct err *e = fault_point("update-after-commit");
	if (!e)
		return NULL;
	struct err *undo = commit_undo(j->commit);
	if (undo) {
		err_free(e);
		return undo;
	}
	e->kind = ERR_ROLLED_BACK;
	return e;
}

// The new program runs: what failed besides is a remark.
static struct err *note_and_free(struct job *j, struct err *e)
{
	struct err *noted = plan_note(job_plan(j), "updated, but: %s", e->message);

	err_free(e);
	return noted;
}

// One critical stop. A word that changed by itself gives ERR_ROLLED_BACK with code data-changed.
static struct err *try_commit(struct job *j, struct moment *m)
{
	struct process *pr = j->target.process;
	struct update_result *r = j->ret;
	uint64_t last = 0;

	struct err *e = moment_freeze(m);
	if (!e) {
		uint64_t before = monotonic_ns();

		r->threads = pr->threads.n;
		e = commit_now(j);
		j->committed = commit_in_force(j->commit);
		uint64_t after = monotonic_ns();
		struct err *thawed = moment_thaw(m, &last);
		if (!e)
			e = thawed;
		else
			err_free(thawed);
		if (j->committed && e)
			e = note_and_free(j, e);
		r->stop_ns = last - m->first_stop;
		r->freeze_ns = m->freeze_ns;
		r->judge_ns = m->judge_ns;
		r->commit_ns = after - before;
		r->thaw_ns = last - after;
	}
	process_unboost(pr);
	r->attempts = m->attempts;
	return e;
}

static struct err *commit_with_retries(struct job *j)
{
	double wait = j->opt->wait_seconds > 0 ? j->opt->wait_seconds : STEADY_WAIT_S;
	struct moment m = {
		.jobs = &j, .n = 1, .deadline = monotonic_ns() + (uint64_t)(wait * 1e9)};

	for (int i = 0;; i++) {
		struct err *e = job_add_patches(j);

		if (!e)
			e = try_commit(j, &m);
		if (!e || j->committed || i + 1 == MAX_TRIES ||
		    e->kind != ERR_ROLLED_BACK || !e->code ||
		    strcmp(e->code, "data-changed"))
			return e;
		err_free(e);
		TRY(job_refresh(j));
	}
}

static struct err *change_process(struct job *j)
{
	struct err *e = job_prepare(j);

	if (!e) {
		job_say(j, "stopping the process");
		e = commit_with_retries(j);
	}
	if (j->committed)
		job_tidy(j);
	job_release(j);
	return e;
}

struct err *update_run(pid_t pid, const struct update_set *set,
		       const struct update_options *opt, struct update_result *ret)
{
	_cleanup_(job_deinit) struct job job = {.opt = opt, .ret = ret};

	TRY(job_open(&job, pid, set));
	return opt->dry_run ? job_preview(&job) : change_process(&job);
}
