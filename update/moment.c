// SPDX-License-Identifier: LGPL-2.1-or-later
// Finding the moment; see moment.h. The steps for one process are in quiesce.c.
#include "update/moment.h"

#include <poll.h>
#include <stdlib.h>

#include "util/cleanup.h"

enum {
	STOP_TIMEOUT_MS = 2000, // to get all threads stopped
	GATE_ROUND_MS = 300, // look again even if no gate was reached: threads come and go
	FIRST_PAUSE_MS = 1,  // where gates cannot be used: pauses double from here
	LAST_PAUSE_MS = 64,
	LOOKS_PER_STOP = 16, // while a coroutine rests in changed code
};

static const uint64_t NS_PER_MS = 1000000;
static const uint64_t UNJUDGED_GRACE_NS = 1000000000;

struct err *moment_thaw(struct moment *m, uint64_t *last)
{
	struct err *first = NULL;

	for (size_t i = 0; i < m->n; i++) {
		struct err *e = process_thaw(m->jobs[i]->target.process, last);

		if (!e && i == 0 && m->n > 1)
			e = fault_point("family-one-released");
		first = err_first(first, e);
	}
	return first;
}

static void boost(struct moment *m)
{
	for (size_t i = 0; i < m->n; i++)
		process_boost(m->jobs[i]->target.process);
}

static void unboost(struct moment *m)
{
	for (size_t i = 0; i < m->n; i++)
		process_unboost(m->jobs[i]->target.process);
}

static struct err *freeze_all(struct moment *m)
{
	uint64_t deadline = monotonic_ns() + STOP_TIMEOUT_MS * NS_PER_MS;

	// Of several the first must not stand long for the others.
	if (m->n == 1 && deadline < m->deadline)
		deadline = m->deadline;
	for (size_t i = 0; i < m->n; i++) {
		uint64_t first;
		struct err *e =
			process_freeze(m->jobs[i]->target.process, deadline, &first);

		if (i == 0)
			m->first_stop = first;
		if (e) {
			struct moment frozen = {.jobs = m->jobs, .n = i};

			err_free(moment_thaw(&frozen, NULL));
			return e;
		}
	}
	m->freeze_ns = monotonic_ns() - m->first_stop;
	return NULL;
}

static struct err *look_at_all(struct moment *m, bool *ready)
{
	*ready = true;
	for (size_t i = 0; i < m->n; i++) {
		bool one = false;

		TRY(quiesce_look(m->jobs[i]->quiesce, m->jobs[i]->commit, &one));
		*ready &= one;
	}
	return NULL;
}

static struct err *plant_all(struct moment *m)
{
	for (size_t i = 0; i < m->n; i++)
		TRY(quiesce_plant(m->jobs[i]->quiesce));
	return NULL;
}

// One attempt. *ready: frozen, and all moves are on the commits. Otherwise the processes run again.
static struct err *attempt(struct moment *m, size_t *marks, bool *ready)
{
	*ready = false;
	m->attempts++;
	for (size_t i = 0; i < m->n; i++)
		marks[i] = commit_mark(m->jobs[i]->commit);
	boost(m);
	struct err *e = freeze_all(m);
	if (e)
		return e;
	uint64_t frozen = monotonic_ns();
	e = look_at_all(m, ready);

	m->judge_ns = monotonic_ns() - frozen;
	if (!e && *ready)
		return NULL;
	*ready = false;
	for (size_t i = 0; i < m->n; i++)
		commit_reset(m->jobs[i]->commit, marks[i]);
	if (!e && monotonic_ns() < m->deadline)
		e = plant_all(m);
	e = err_first(e, moment_thaw(m, NULL));
	unboost(m); // nothing but a stop may run before the threads of this host
	return e;
}

// The first process that something other than an open verdict keeps from moving; NULL: there is none.
static struct job *held_up(const struct moment *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (!quiesce_only_unjudged(m->jobs[i]->quiesce))
			return m->jobs[i];
	return NULL;
}

// The one to name when time is up.
static const struct job *to_blame(const struct moment *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (quiesce_obstacle(m->jobs[i]->quiesce))
			return m->jobs[i];
	return m->jobs[0];
}

static bool planted(const struct moment *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (quiesce_planted(m->jobs[i]->quiesce))
			return true;
	return false;
}

static struct err *wait_for_gates(struct moment *m, uint64_t until)
{
	_cleanup_free_ struct quiesce **q = calloc(m->n, sizeof(struct quiesce *));

	if (!q)
		return err_nomem();
	for (size_t i = 0; i < m->n; i++)
		q[i] = m->jobs[i]->quiesce;
	return quiesce_wait(q, m->n, until);
}

// Runs on until the gates hold their threads or it is time to look again.
static struct err *pause_for(struct moment *m, const struct job *why, int *pause_ms)
{
	bool gates = planted(m);
	uint64_t now = monotonic_ns();
	uint64_t until = now + (uint64_t)(gates ? GATE_ROUND_MS : *pause_ms) * NS_PER_MS;
	const char *obstacle = quiesce_obstacle(why->quiesce);

	if (obstacle)
		job_say(why, obstacle);
	if (until > m->deadline)
		until = m->deadline;
	if (gates)
		return wait_for_gates(m, until);
	if (until > now)
		poll(NULL, 0, (int)((until - now + NS_PER_MS - 1) / NS_PER_MS));
	if (*pause_ms < LAST_PAUSE_MS)
		*pause_ms *= 2;
	return NULL;
}

static void show_waiting(const struct moment *m, bool waiting)
{
	for (size_t i = 0; i < m->n; i++)
		commit_show_waiting(m->jobs[i]->commit, waiting);
}

static bool still_waits(const struct moment *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (quiesce_still_waits(m->jobs[i]->quiesce))
			return true;
	return false;
}

// Looks for what needs no stop to be seen. It is no verdict, so that now and then a stop is tried all the same.
static struct err *is_hopeless(struct moment *m, unsigned round, bool *ret)
{
	*ret = false;
	for (size_t i = 0; i < m->n && !*ret && round % LOOKS_PER_STOP; i++)
		TRY(quiesce_rests(m->jobs[i]->quiesce, ret));
	return NULL;
}

struct err *moment_freeze(struct moment *m)
{
	_cleanup_free_ size_t *marks = calloc(m->n, sizeof(*marks));
	int pause_ms = FIRST_PAUSE_MS;

	if (!marks)
		return err_nomem();
	for (unsigned round = 0;; round++) {
		// A stop that can only be in vain would disturb the threads for nothing.
		bool ready = false, in_vain = still_waits(m);

		TRY(job_interrupted(m->jobs[0]));
		if (!in_vain)
			TRY(is_hopeless(m, round, &in_vain));
		if (!in_vain)
			TRY(attempt(m, marks, &ready));
		if (ready)
			return NULL;
		const struct job *why = held_up(m);
		// Verdicts that are still being worked out may take a little longer.
		uint64_t end = why ? m->deadline : m->deadline + UNJUDGED_GRACE_NS;
		if (monotonic_ns() >= end)
			return quiesce_failed((why ? why : to_blame(m))->quiesce);
		for (size_t i = 0; i < m->n; i++)
			TRY(quiesce_answer(m->jobs[i]->quiesce));
		if (!why)
			continue;
		show_waiting(m, true);
		struct err *e = pause_for(m, why, &pause_ms);
		show_waiting(m, false);
		TRY(e);
	}
}
