// SPDX-License-Identifier: LGPL-2.1-or-later
// molt_checkpoint.
#include "checkpoint/checkpoint.h"

#include <string.h>

#include "lib/report.h"
#include "update/status.h"
#include "util/cleanup.h"

static const struct molt_checkpoint_options defaults;

// Which generation of updates the process is in; 0 where that cannot be seen.
static unsigned generation_of(pid_t pid)
{
	_cleanup_(status_deinit) struct status s = {};
	_cleanup_(err_freep) struct err *e = status_read(pid, &s);

	return e ? 0 : s.generation;
}

static enum after_save after_of(enum molt_after after)
{
	switch (after) {
	case MOLT_STOP:
		return SAVE_STOP;
	case MOLT_KILL:
		return SAVE_KILL;
	case MOLT_GO_ON:
		break;
	}
	return SAVE_GO_ON;
}

static void copy_result(struct molt_report *r, struct checkpoint_result *c)
{
	const double ns_per_us = 1000, ns_per_ms = 1e6;

	memcpy(r->comm, c->comm, sizeof(r->comm));
	r->checkpoint_id = take_ptr(c->id);
	r->checkpoint_path = take_ptr(c->path);
	r->bytes = c->bytes;
	r->saved_processes = (unsigned)c->processes;
	r->threads = (unsigned)c->threads;
	r->stop_us = (double)c->stop_ns / ns_per_us;
	r->stop2_us = (double)c->stop2_ns / ns_per_us;
	r->total_ms = (double)c->total_ns / ns_per_ms;
	vec_for_each(n, &c->notes)
		err_free(report_note(r, "%s", *n)); // a note less is better than no report
}

struct molt_report *molt_checkpoint(pid_t pid, const struct molt_checkpoint_options *opt)
{
	_cleanup_(checkpoint_result_deinit) struct checkpoint_result result = {0};
	struct molt_report *r = report_new(pid);

	if (!r)
		return NULL;
	if (!opt)
		opt = &defaults;
	r->generation = generation_of(pid);
	const struct checkpoint_options co = {
		.store = opt->store,
		.name = opt->name,
		.parent = opt->parent,
		.generation = r->generation,
		.after = after_of(opt->after),
		.tree = opt->tree,
		.compress = opt->compress,
		.all_memory = !opt->no_dontdump,
		.save = {.skip = opt->skip, .n_skip = opt->n_skip},
		.progress = opt->progress,
		.interrupted = opt->interrupted,
		.arg = opt->arg,
	};
	report_fail(r, checkpoint_take(pid, &co, &result));
	copy_result(r, &result);
	return r;
}
