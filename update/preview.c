// SPDX-License-Identifier: LGPL-2.1-or-later
// The stacks as a plan sees them; see preview.h.
#include "update/preview.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/proc.h"
#include "update/judge.h"
#include "util/cleanup.h"

static struct err *look(struct quiesce *q, pid_t tid, struct plan *p, size_t *unknown)
{
	struct judge *j = quiesce_judge(q);
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	char comm[16] = "";
	_cleanup_(frames_deinit) struct frames f = {0};
	_cleanup_(verdicts_deinit) struct verdicts v = {0};

	if (os_proc_read(p->subject->process->pid, tid, "comm", &text, &len) >= 0)
		snprintf(comm, sizeof(comm), "%.*s", (int)strcspn(text, "\n"), text);
	TRY(unwind_blocked(quiesce_unwinder(q), tid, &f));
	bool complete = f.complete;
	f.complete = true; // an incomplete walk is expected here and told once
	TRY(judge_stack(j, tid, comm, &f, &v));
	TRY(judge_answer(j));
	verdicts_reset(&v);
	TRY(judge_stack(j, tid, comm, &f, &v));
	if (!complete)
		++*unknown;
	vec_for_each(o, &v.obstacles) {
		_cleanup_free_ char *why = obstacle_text(o);

		TRY(plan_note(p, "an update now would have to wait: %s",
			      why ? why : o->reason));
	}
	return NULL;
}

struct err *preview_threads(struct plan *const *plans, size_t n,
			    const struct quiesce_options *opt, size_t *threads)
{
	struct plan *p = plans[0]; // takes the notes
	_cleanup_(quiesce_freep) struct quiesce *q = NULL;
	_cleanup_free_ pid_t *tids = NULL;
	size_t unknown = 0;
	int r = os_proc_tasks(p->subject->process->pid, &tids, threads);

	if (r < 0)
		return err_sys(r, "cannot list the threads of process %d",
			       p->subject->process->pid);
	TRY(quiesce_create(plans, n, NULL, opt, &q));
	for (size_t i = 0; i < *threads; i++)
		TRY(look(q, tids[i], p, &unknown));
	if (unknown)
		TRY(plan_note(
			p,
			"%zu of %zu threads could not be looked at to the end without "
			"stopping them",
			unknown, *threads));
	return NULL;
}
