// SPDX-License-Identifier: LGPL-2.1-or-later
// molt_update and molt_plan.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/report.h"
#include "process/process.h"
#include "update/revert.h"
#include "util/cleanup.h"

static void copy_result(struct molt_report *r, struct update_result *u)
{
	const double ns_per_us = 1000;

	memcpy(r->comm, u->comm, sizeof(r->comm));
	r->generation = u->generation;
	r->already = u->already;
	snprintf(r->old_build_id, sizeof(r->old_build_id), "%s", u->old_build_id);
	snprintf(r->new_build_id, sizeof(r->new_build_id), "%s", u->new_build_id);
	r->threads = (unsigned)u->threads;
	r->functions = (struct molt_functions){
		.same = u->count[FUNC_SAME],
		.imm_only = u->count[FUNC_IMM],
		.ref_only = u->count[FUNC_REF],
		.code = u->count[FUNC_CODE],
		.added = u->count[FUNC_ADDED],
		.removed = u->count[FUNC_REMOVED],
	};
	r->stop_us = (double)u->stop_ns / ns_per_us;
	r->stop2_us = (double)u->stop2_ns / ns_per_us;
	r->freeze_us = (double)u->freeze_ns / ns_per_us;
	r->judge_us = (double)u->judge_ns / ns_per_us;
	r->commit_us = (double)u->commit_ns / ns_per_us;
	r->thaw_us = (double)u->thaw_ns / ns_per_us;
	r->attempts = u->attempts;
	vec_for_each(n, &u->notes)
		err_free(report_note(r, "%s", *n)); // a note less is better than no report
}

// One verdict and one stop for all of them.
static void add_members(struct molt_report *r, struct update_result *u)
{
	r->processes = calloc(u->members.n + 1, sizeof(struct molt_report *));
	for (size_t i = 0; r->processes && i < u->members.n; i++) {
		struct molt_report *one = report_new(u->members.v[i]->pid);

		if (!one)
			return;
		copy_result(one, u->members.v[i]);
		one->verdict = r->verdict;
		one->code = r->code;
		one->total_ms = r->total_ms;
		r->processes[r->n_processes++] = one;
	}
}

// The executable, if NEW is given, and the modules.
static struct err *run_set(pid_t pid, const char *new_path,
			   const struct molt_update_options *opt,
			   const struct update_options *uo, struct update_result *ret)
{
	size_t n = 0;
	_cleanup_free_ struct update_module *v = calloc(opt->n_modules + 1, sizeof(*v));

	if (!v)
		return err_nomem();
	if (new_path)
		v[n++].new_path = new_path;
	for (size_t i = 0; i < opt->n_modules; i++)
		v[n++] = (struct update_module){.old = opt->modules[i].old,
						.new_path = opt->modules[i].new_path};
	return update_run(pid, &(struct update_set){.v = v, .n = n}, uo, ret);
}

static struct update_options options_of(const struct molt_update_options *opt,
					bool dry_run)
{
	return (struct update_options){
		.wait_seconds = opt->wait_seconds,
		.at = opt->at,
		.keep_old = opt->keep_old,
		.n_keep_old = opt->n_keep_old,
		.debug_dir = opt->debug_dir,
		.allow_holes = opt->allow_holes,
		.allow_lost = opt->allow_lost,
		.named_only = opt->named_only,
		.dry_run = dry_run || opt->dry_run,
		.tree = opt->tree,
		.expected_generation = opt->expected_generation,
		.progress = opt->progress,
		.interrupted = opt->interrupted,
		.arg = opt->arg,
	};
}

static const struct molt_update_options defaults;

static struct molt_report *run(pid_t pid, const char *new_path,
			       const struct molt_update_options *opt, bool dry_run)
{
	struct molt_report *r = report_new(pid);
	_cleanup_(update_result_deinit) struct update_result result = {};
	uint64_t start = monotonic_ns();

	if (!r)
		return NULL;
	if (!opt)
		opt = &defaults;
	const struct update_options uo = options_of(opt, dry_run);
	report_fail(r, run_set(pid, new_path, opt, &uo, &result));
	copy_result(r, &result);
	r->total_ms = (double)(monotonic_ns() - start) / 1e6;
	add_members(r, &result);
	return r;
}

struct molt_report *molt_revert(pid_t pid, int to, const struct molt_update_options *opt)
{
	struct molt_report *r = report_new(pid);
	_cleanup_(update_result_deinit) struct update_result result = {};
	uint64_t start = monotonic_ns();

	if (!r)
		return NULL;
	const struct update_options uo = options_of(opt ? opt : &defaults, false);
	report_fail(r, revert_run(pid, to, &uo, &result));
	copy_result(r, &result);
	r->total_ms = (double)(monotonic_ns() - start) / 1e6;
	add_members(r, &result);
	return r;
}

struct molt_report *molt_update(pid_t pid, const char *new_path,
				const struct molt_update_options *opt)
{
	return run(pid, new_path, opt, false);
}

struct molt_report *molt_plan(pid_t pid, const char *new_path,
			      const struct molt_update_options *opt)
{
	return run(pid, new_path, opt, true);
}
