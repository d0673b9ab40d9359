// SPDX-License-Identifier: LGPL-2.1-or-later
// The end of a commit: protections back, control area unmapped.
#include <sys/param.h>
#include <time.h>

#include "process/commit_impl.h"

static const uint64_t PASS_TIMEOUT_NS = 2000000000;

// Whether no thread can come back to the area, after the threads have passed their gates by themselves.
static struct err *wait_vacant(struct commit *c, bool *vacant)
{
	uint64_t deadline = monotonic_ns() + PASS_TIMEOUT_NS;
	const struct timespec slice = {.tv_nsec = 1000000};
	struct err *e;

	for (size_t i = 0; i < c->head->n_records && i < c->max_threads;) {
		if (__atomic_load_n(&c->records[i].left, __ATOMIC_ACQUIRE))
			i++;
		else if (monotonic_ns() < deadline)
			nanosleep(&slice, NULL);
		else
			break;
	}
	*vacant = true;
	e = process_freeze(c->p, deadline, NULL);
	if (e)
		return e;
	vec_for_each(t, &c->p->threads)
		if (t->state == THREAD_STOPPED && area_visited(c->p, &c->area, t))
			*vacant = false;
	return process_thaw(c->p, NULL);
}

struct err *commit_finish(struct commit *c)
{
	bool vacant = true;
	struct maps maps;
	struct err *e;

	if (c->stage == COMMIT_FINISHED)
		return NULL;
	TRY(fault_point("before-finish"));
	if (c->stage == COMMIT_BY_GATES)
		TRY(wait_vacant(c, &vacant));
	__atomic_store_n(&c->head->state, COMMIT_AREA_FINISH, __ATOMIC_RELEASE);
	TRY(maps_read(c->p->pid, &maps));
	e = commit_unprotect(c->h, &maps, c->ranges, c->n_prepared);
	maps_deinit(&maps);
	if (!e)
		e = fault_point("after-protections");
	if (e)
		return err_wrap(e, "cannot tidy up process %d", c->p->pid);
	if (vacant &&
	    c->shared) // first: what an area leads to must be there as long as it is
		TRY(helper_munmap(c->h, c->shared, PAYLOAD_PAGE));
	if (vacant) {
		c->shared = 0;
		TRY(area_unmap(c->h, &c->area));
	}
	c->stage = COMMIT_FINISHED;
	return NULL;
}
