// SPDX-License-Identifier: LGPL-2.1-or-later
// molt_status.
#include <stdio.h>
#include <string.h>

#include "lib/report.h"
#include "update/status.h"
#include "util/cleanup.h"

struct molt_report *molt_status(pid_t pid)
{
	_cleanup_(status_deinit) struct status s = {};
	struct molt_report *r = report_new(pid);

	if (!r)
		return NULL;
	report_fail(r, status_read(pid, &s));
	if (r->verdict != MOLT_DONE)
		return r;
	const struct record *record = &s.record;
	const struct record_image *first = &record->images.v[0];
	const struct record_image *last = record_running(record);
	memcpy(r->comm, s.comm, sizeof(r->comm));
	r->generation = s.generation;
	snprintf(r->old_build_id, sizeof(r->old_build_id), "%s", first->build_id);
	snprintf(r->new_build_id, sizeof(r->new_build_id), "%s", last->build_id);
	return r;
}
