// SPDX-License-Identifier: LGPL-2.1-or-later
// molt_diff.
#include <stdio.h>

#include "diff/diff.h"
#include "lib/report.h"
#include "util/cleanup.h"

static struct err *note_functions(struct molt_report *r, const struct diff *d)
{
	vec_for_each(pair, &d->funcs) {
		const struct func *f = pair->new == NO_TWIN ? &d->old_funcs.v[pair->old]
							    : &d->new_funcs.v[pair->new];

		if (pair->verdict != FUNC_SAME)
			TRY(report_note(r, "function %s: %s", f->name,
					func_verdict_name(pair->verdict)));
	}
	return NULL;
}

static struct err *compare(struct molt_report *r, const char *old_path,
			   const char *new_path, const char *debug_dir)
{
	_cleanup_(module_closep) struct module *old = NULL, *new = NULL;
	_cleanup_(diff_freep) struct diff *d = NULL;
	struct diff_options opt = {};

	TRY(module_open(old_path, debug_dir, &old));
	TRY(module_open(new_path, debug_dir, &new));
	snprintf(r->old_build_id, sizeof(r->old_build_id), "%s", old->build_id);
	snprintf(r->new_build_id, sizeof(r->new_build_id), "%s", new->build_id);
	TRY(diff_programs(old, new, &opt, &d));
	r->functions = report_functions(d->count);
	return note_functions(r, d);
}

struct molt_report *molt_diff(const char *old_path, const char *new_path,
			      const char *debug_dir)
{
	struct molt_report *r = report_new(0);

	if (r)
		report_fail(r, compare(r, old_path, new_path, debug_dir));
	return r;
}
