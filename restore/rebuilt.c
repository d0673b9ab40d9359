// SPDX-License-Identifier: LGPL-2.1-or-later
// Rebuilt processes until they run, or are ended; see restore.h.
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "process/process.h"
#include "process/wait.h"
#include "restore/rebuilt.h"
#include "restore/sources.h"
#include "util/cleanup.h"

pid_t rebuilt_pid(const struct rebuilt *r)
{
	return r->builds.v[0]->remote.pid;
}

size_t rebuilt_processes(const struct rebuilt *r)
{
	return r->builds.n;
}

struct err *rebuilt_succeed(struct rebuilt *r, int (*end)(void *arg), void *arg)
{
	// A process ends with the tool as long as one of its threads does.
	vec_for_each(p, &r->builds)
		threads_outlive_tool(*p, false);
	for (size_t i = r->builds.n; i-- > 0;)
		threads_outlive_tool(r->builds.v[i], true);
	// In this order nothing comes between the two: those that are killed wake up, and may take our processor.
	int errnum = end(arg);
	return errnum < 0 ? err_sys(errnum, "cannot end the process that is replaced")
			  : NULL;
}

static int kill_all(void *arg)
{
	struct rebuilt *r = arg;

	for (size_t i = r->builds.n; i-- > 0;)
		if (r->builds.v[i]->remote.pid)
			kill(r->builds.v[i]->remote.pid, SIGKILL);
	return 0;
}

struct err *rebuilt_supersede(struct rebuilt *first, struct rebuilt *second)
{
	TRY(rebuilt_succeed(second, kill_all, first));
	rebuilt_abort(first);
	return NULL;
}

struct err *rebuilt_resume(struct rebuilt *r)
{
	struct err *e = NULL;

	// A copy of ours would keep an epoll registration alive that the program believes gone with its close.
	(r->before ? r->before : r)->kept = true;
	restoring_deinit(r->all);
	vec_for_each(p, &r->builds) {
		// Before anything of it runs: the stop it was saved in.
		if (json_is_true(json_object_get((*p)->state, "stopped")))
			kill((*p)->remote.pid, SIGSTOP);
		e = err_first(e, threads_release(*p));
	}
	return e;
}

struct err *restore_hear_report(int report, uint64_t *when)
{
	struct err *e = filler_wait(report, when);

	close(report);
	return e;
}

struct err *rebuilt_wait_resident(struct rebuilt *r, uint64_t *when)
{
	struct err *e = NULL;

	if (r->report >= 0)
		e = restore_hear_report(take_fd(&r->report), &r->resident);
	else if (!r->resident)
		r->resident = monotonic_ns();
	*when = r->resident;
	return e;
}

int rebuilt_take_report(struct rebuilt *r)
{
	return take_fd(&r->report);
}

// The first process is the tool's child and is collected here; the others go with their parents.
void rebuilt_abort(struct rebuilt *r)
{
	kill_all(r);
	vec_for_each(p, &r->builds)
		vec_for_each(t, &(*p)->threads)
			if (t->tid && t->tid != (*p)->remote.pid)
				wait_end(t->tid);
	vec_for_each(p, &r->builds)
		if ((*p)->remote.pid)
			wait_end((*p)->remote.pid);
}

static void build_free(struct build *b)
{
	if (!b)
		return;
	if (b->channel >= 0)
		close(b->channel);
	if (b->remote.channel >= 0)
		close(b->remote.channel);
	if (b->mem >= 0)
		close(b->mem);
	if (b->uffd >= 0)
		close(b->uffd);
	sources_deinit(&b->sources);
	space_free(b->space);
	vec_free(&b->threads);
	free(b);
}

static void own_free(struct rebuilt *r)
{
	replaced_free(r->replaced);
	restoring_deinit(&r->own);
	memories_deinit(&r->memories, r->kept);
	vec_for_each(n, &r->own.notes)
		free(*n);
	vec_free(&r->own.notes);
}

void rebuilt_free(struct rebuilt *r)
{
	if (!r)
		return;
	vec_for_each(p, &r->builds)
		build_free(*p);
	vec_free(&r->builds);
	site_free(r->site);
	filler_spaces_deinit(&r->spaces);
	if (r->report >= 0)
		close(r->report);
	if (!r->before)
		own_free(r);
	free(r);
}
