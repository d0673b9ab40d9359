// SPDX-License-Identifier: LGPL-2.1-or-later
// The order of a live update; see update.h and docs/design.md, "Order of an update".
#include "update/update.h"

#include <stdlib.h>
#include <string.h>

#include "process/fault.h"
#include "update/family.h"
#include "update/keep.h"
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
	vec_for_each(m, &r->members) {
		update_result_deinit(*m);
		free(*m);
	}
	vec_free(&r->members);
}

typedef VEC(struct commit *) commit_list;

static void commit_list_deinit(commit_list *l)
{
	vec_free(l);
}

static struct err *too_quick(const struct family *f)
{
	return err_with(
		err_new(ERR_BUSY,
			"process %d forks faster than molt can prepare its children",
			f->root),
		"family-grew", NULL);
}

// In the stop: what must be as it is at this very moment, then the commit.
static struct err *commit_now(struct family *f)
{
	_cleanup_(commit_list_deinit) commit_list commits = {0};
	bool grew;

	TRY(family_grew(f, &grew));
	if (grew)
		return too_quick(f);
	vec_for_each(j, &f->jobs) {
		TRY(job_carry(*j));
		TRY(vec_push(&commits, (*j)->commit));
	}
	TRY(fault_point("update-before-commit"));
	TRY(commit_execute_all(commits.v, commits.n));
	struct err *e = fault_point("update-after-commit");
	return e ? commit_take_back(commits.v, commits.n, e) : NULL;
}

// The new program runs: what failed besides is a remark.
static struct err *note_and_free(struct job *j, struct err *e)
{
	struct err *noted = plan_note(job_plan(j), "updated, but: %s", e->message);

	err_free(e);
	return noted;
}

static bool committed(const struct family *f)
{
	return f->jobs.n && f->jobs.v[0]->committed;
}

static void tell_times(struct family *f, const struct moment *m, uint64_t before,
		       uint64_t after, uint64_t last)
{
	vec_for_each(j, &f->jobs) {
		struct update_result *r = (*j)->ret;

		(*j)->committed = commit_in_force((*j)->commit);
		r->threads = (*j)->target.process->threads.n;
		r->stop_ns = last - m->first_stop;
		r->freeze_ns = m->freeze_ns;
		r->judge_ns = m->judge_ns;
		r->commit_ns = after - before;
		r->thaw_ns = last - after;
	}
}

// One critical stop. A word that changed by itself gives ERR_ROLLED_BACK with code data-changed.
static struct err *try_commit(struct family *f, struct moment *m)
{
	uint64_t last = 0;

	m->jobs = f->jobs.v;
	m->n = f->jobs.n;
	struct err *e = moment_freeze(m);
	if (!e) {
		uint64_t before = monotonic_ns();

		e = commit_now(f);
		uint64_t after = monotonic_ns();
		e = err_first(e, moment_thaw(m, &last));
		tell_times(f, m, before, after, last);
		if (committed(f) && e)
			e = note_and_free(f->jobs.v[0], e);
	}
	for (size_t i = f->jobs.n; i-- > 0;)
		process_unboost(f->jobs.v[i]->target.process);
	vec_for_each(j, &f->jobs)
		(*j)->ret->attempts = m->attempts;
	return e;
}

static struct err *try_once(struct family *f, struct moment *m)
{
	TRY(family_settle(f));
	vec_for_each(j, &f->jobs)
		TRY(job_add_patches(*j));
	return try_commit(f, m);
}

static bool has_code(const struct err *e, const char *code)
{
	return e->code && !strcmp(e->code, code);
}

// Whether another attempt may succeed; *changes counts words that had changed by themselves.
static bool worth_another(struct family *f, struct err **e, const struct moment *m,
			  int *changes)
{
	if (has_code(*e, "data-changed") && (*e)->kind == ERR_ROLLED_BACK)
		return ++*changes < MAX_TRIES;
	if ((*e)->kind != ERR_BUSY && family_shrank(f, *e)) {
		err_free(*e);
		*e = too_quick(f);
	}
	return has_code(*e, "family-grew") && monotonic_ns() < m->deadline;
}

static struct err *commit_with_retries(struct family *f)
{
	double wait = f->opt->wait_seconds > 0 ? f->opt->wait_seconds : STEADY_WAIT_S;
	struct moment m = {.deadline = monotonic_ns() + (uint64_t)(wait * 1e9)};
	int changes = 0;

	for (;;) {
		struct err *e = try_once(f, &m);

		if (!e || committed(f) || !worth_another(f, &e, &m, &changes))
			return e;
		bool refresh = has_code(e, "data-changed");
		err_free(e);
		for (size_t i = 0; i < f->jobs.n && refresh; i++)
			TRY(job_refresh(f->jobs.v[i]));
	}
}

static struct err *change_processes(struct family *f)
{
	vec_for_each(j, &f->jobs)
		keep_programs(*j);
	struct err *e = family_prepare(f);

	if (!e) {
		job_say(f->jobs.v[0], "stopping the process");
		e = commit_with_retries(f);
	}
	vec_for_each(j, &f->jobs)
		if ((*j)->committed)
			job_tidy(*j);
	vec_for_each(j, &f->jobs)
		job_release(*j);
	if (committed(f)) {
		family_clean_newcomers(f);
		keep_tidy();
	}
	return e;
}

static struct err *preview_all(struct family *f)
{
	vec_for_each(j, &f->jobs)
		TRY(job_preview(*j));
	return NULL;
}

// Whether each process runs the new files by now: an update would only count one generation more.
static bool runs_already(const struct family *f)
{
	char old[PROGRAM_ID_MAX], new[PROGRAM_ID_MAX];

	vec_for_each(j, &f->jobs) {
		vec_for_each(p, &(*j)->plans) {
			program_id((*p)->subject->old, old);
			program_id((*p)->new, new);
			if (strcmp(old, new))
				return false;
		}
	}
	return true;
}

struct err *update_run(pid_t pid, const struct update_set *set,
		       const struct update_options *opt, struct update_result *ret)
{
	_cleanup_(family_deinit) struct family family = {
		.opt = opt, .ret = ret, .set = set, .root = pid};

	TRY(family_open(&family));
	if (runs_already(&family)) {
		vec_for_each(j, &family.jobs) {
			if (!opt->dry_run)
				TRY(job_clear(*j));
			(*j)->ret->already = true;
		}
		ret->already = true;
		return NULL;
	}
	return opt->dry_run ? preview_all(&family) : change_processes(&family);
}
