// SPDX-License-Identifier: LGPL-2.1-or-later
// molt_rollback: a living process back to where it was at a checkpoint.
#include "rollback/rollback.h"

#include <string.h>

#include "lib/report.h"
#include "update/status.h"
#include "util/cleanup.h"

static const struct molt_rollback_options defaults;

// Images of later updates are in the process's memory and in its record, which a rollback would put back without them.
static struct err *check_generation(pid_t pid, const json_t *manifest,
				    struct molt_report *r)
{
	_cleanup_(status_deinit) struct status s = {};
	json_int_t saved = json_integer_value(json_object_get(manifest, "generation"));

	TRY(status_read(pid, &s));
	r->generation = s.generation;
	if (saved == (json_int_t)s.generation)
		return NULL;
	return err_refuse(
		"generation-differs", s.comm,
		"process %d (%s) is in generation %u and was in generation %d when "
		"the checkpoint was made; a rollback does not cross an update",
		pid, s.comm, s.generation, (int)saved);
}

static void copy_result(struct molt_report *r, struct rollback_result *s)
{
	const double ns_per_us = 1000, ns_per_ms = 1e6;

	memcpy(r->comm, s->comm, sizeof(r->comm));
	r->bytes = s->bytes;
	r->threads = (unsigned)s->threads;
	r->stop_us = (double)s->stop_ns / ns_per_us;
	r->compare_us = (double)s->compare_ns / ns_per_us;
	r->total_ms = (double)s->total_ns / ns_per_ms;
	r->threads_ended = (unsigned)s->ended;
	r->threads_made = (unsigned)s->made;
	r->descriptors_closed = (unsigned)s->closed;
	r->descriptors_made = (unsigned)s->reopened;
	vec_for_each(n, &s->notes)
		err_free(report_note(r, "%s", *n)); // a note less is better than no report
}

static struct err *run(pid_t pid, const char *which,
		       const struct molt_rollback_options *opt, struct molt_report *r)
{
	_cleanup_(checkpoint_deinit) struct checkpoint c = {0};
	_cleanup_(rollback_result_deinit) struct rollback_result result = {0};
	const struct rollback_options ro = {.progress = opt->progress,
					    .interrupted = opt->interrupted,
					    .arg = opt->arg};

	TRY(checkpoint_open(opt->store, which, false, &c));
	TRY(checkpoint_verify(&c, true));
	TRY(check_generation(pid, c.manifest, r));
	struct err *e = rollback_run(pid, &c, &ro, &result);
	copy_result(r, &result);
	return e;
}

struct molt_report *molt_rollback(pid_t pid, const char *checkpoint,
				  const struct molt_rollback_options *opt)
{
	struct molt_report *r = report_new(pid);

	if (!r)
		return NULL;
	report_fail(r, run(pid, checkpoint, opt ? opt : &defaults, r));
	return r;
}
