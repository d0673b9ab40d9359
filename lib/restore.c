// SPDX-License-Identifier: LGPL-2.1-or-later
// molt_restore: a checkpoint runs again, also in the updated program.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/report.h"
#include "process/process.h"
#include "restore/restore.h"
#include "util/cleanup.h"

static const struct molt_restore_options defaults;
static const double ONE_ATTEMPT = 1e-6; // seconds; 0 is the default of an update

static enum files_policy policy_of(enum molt_files files)
{
	switch (files) {
	case MOLT_FILES_APPEND_OK:
		return FILES_APPEND_OK;
	case MOLT_FILES_ANY:
		return FILES_ANY;
	case MOLT_FILES_EXACT:
		break;
	}
	return FILES_EXACT;
}

static struct rebuild_options options_of(const struct molt_restore_options *opt)
{
	return (struct rebuild_options){
		.restore = {.files = policy_of(opt->files), .tcp_close = opt->tcp_close},
		.pid_any = opt->pid_any || opt->program_only,
		.hollow = opt->program_only,
		.replace = opt->replace,
		.lazy = !opt->eager && !opt->into,
		.park = opt->into != NULL,
		.progress = opt->progress,
		.arg = opt->arg,
	};
}

static double ms_since(uint64_t start)
{
	return (double)(monotonic_ns() - start) / 1e6;
}

static void copy_manifest(struct molt_report *r, const json_t *manifest)
{
	const char *comm = json_string_value(json_object_get(manifest, "comm"));
	const char *id = json_string_value(json_object_get(manifest, "build_id"));
	json_int_t generation =
		json_integer_value(json_object_get(manifest, "generation"));

	snprintf(r->comm, sizeof(r->comm), "%s", comm ? comm : "");
	snprintf(r->old_build_id, sizeof(r->old_build_id), "%s", id ? id : "");
	snprintf(r->new_build_id, sizeof(r->new_build_id), "%s", id ? id : "");
	if (generation > 0 && generation <= UINT32_MAX)
		r->generation = (unsigned)generation;
}

// It stands still for good: what is on a stack now stays there, and waiting would change nothing.
static struct err *update(pid_t pid, bool tree, const struct molt_restore_options *opt,
			  struct molt_report *r)
{
	static const struct molt_update_options no_options;
	struct molt_update_options uo = opt->update ? *opt->update : no_options;

	uo.wait_seconds = ONE_ATTEMPT;
	uo.tree = tree;
	uo.progress = opt->progress;
	uo.arg = opt->arg;
	struct molt_report *u = molt_update(pid, opt->into, &uo);
	if (!u)
		return err_nomem();
	struct err *e = report_take(r, u);
	if (e && e->kind == ERR_BUSY)
		e->kind = ERR_REFUSED;
	return e;
}

static struct err *go_on_in_new(struct rebuilt *b, const struct molt_restore_options *opt,
				struct molt_report *r)
{
	TRY(rebuilt_park(b));
	TRY(update(rebuilt_pid(b), rebuilt_processes(b) > 1, opt, r));
	return rebuilt_regain(b);
}

static struct err *build_second(struct rebuilt *first,
				const struct molt_restore_options *opt, bool any_ids,
				struct molt_report *r, struct rebuilt **second)
{
	struct err *e = rebuild_again(first, any_ids, second);

	if (!e && opt->into)
		e = go_on_in_new(*second, opt, r);
	if (e && *second) {
		rebuilt_abort(*second);
		rebuilt_free(*second);
		*second = NULL;
	}
	return e;
}

// The replaced process has ended: from here on one that was built goes on, whatever fails.
static void take_place(struct rebuilt *first, const struct molt_restore_options *opt,
		       struct molt_report *r, struct rebuilt **second)
{
	bool ids_free;
	struct err *e = rebuilt_make_visible(first);

	if (e)
		err_free(report_note(r, "%s", e->message));
	err_free(e);
	rebuilt_collect_replaced(first, &ids_free);
	bool any_ids = !ids_free || opt->pid_any;
	e = build_second(first, opt, any_ids, r, second);

	if (!e && !ids_free && !opt->pid_any)
		err_free(report_note(r, "the saved ids are still in use: it has others"));
	if (e && !any_ids) { // another process may have taken an id meanwhile
		err_free(report_note(r, "it goes on under other ids: %s", e->message));
		err_free(e);
		e = build_second(first, opt, true, r, second);
	}
	if (!e)
		e = rebuilt_supersede(first, *second);
	if (e)
		err_free(report_note(r, "the first build of it goes on: %s", e->message));
	err_free(e);
}

static struct err *let_run(struct rebuilt *b, const struct molt_restore_options *opt,
			   uint64_t start, struct molt_report *r)
{
	uint64_t when;

	r->pid = rebuilt_pid(b);
	TRY(rebuilt_resume(b));
	r->running_ms = ms_since(start);
	if (opt->wait_resident) {
		TRY(rebuilt_wait_resident(b, &when));
		r->resident_ms = (double)(when - start) / 1e6;
	}
	r->memory_fd = rebuilt_take_report(b);
	return NULL;
}

static void copy_notes(const struct rebuilt *b, struct molt_report *r)
{
	size_t n;
	char *const *notes = rebuilt_notes(b, &n);

	for (size_t i = 0; i < n; i++)
		err_free(report_note(r, "%s", notes[i]));
}

static struct err *finish(struct rebuilt *b, const struct molt_restore_options *opt,
			  uint64_t start, struct molt_report *r)
{
	const bool rehearsal = opt->dry_run || opt->program_only;
	struct rebuilt *second = NULL;
	struct err *e = opt->into ? go_on_in_new(b, opt, r) : NULL;

	if (!e && opt->replace && !rehearsal)
		e = rebuilt_end_replaced(b);
	if (e || rehearsal) {
		copy_notes(b, r);
		rebuilt_abort(b);
		return e;
	}
	if (opt->replace)
		take_place(b, opt, r, &second);
	copy_notes(b, r);
	e = let_run(second ? second : b, opt, start, r);
	rebuilt_free(second);
	return e;
}

static struct err *run(const char *which, const struct molt_restore_options *opt,
		       uint64_t start, struct molt_report *r)
{
	_cleanup_(checkpoint_deinit) struct checkpoint c = {0};
	const struct rebuild_options ro = options_of(opt);
	struct rebuilt *b = NULL;

	TRY(checkpoint_open(opt->store, which, false, &c));
	copy_manifest(r, c.manifest);
	TRY(checkpoint_verify(&c, true));
	TRY(rebuild(&c, &ro, &b));
	struct err *e = finish(b, opt, start, r);
	rebuilt_free(b);
	return e;
}

void molt_restore_memory(struct molt_report *r)
{
	uint64_t when;

	if (r->memory_fd < 0)
		return;
	struct err *e = restore_hear_report(r->memory_fd, &when);
	r->memory_fd = -1;
	if (!e)
		r->resident_ms = (double)(when - r->started_ns) / 1e6;
	report_fail(r, e);
}

struct molt_report *molt_restore(const char *checkpoint,
				 const struct molt_restore_options *opt)
{
	struct molt_report *r = report_new(0);
	uint64_t start = monotonic_ns();

	if (!r)
		return NULL;
	r->resident_ms = -1;
	r->started_ns = start;
	report_fail(r, run(checkpoint, opt ? opt : &defaults, start, r));
	r->total_ms = ms_since(start);
	return r;
}
