// SPDX-License-Identifier: LGPL-2.1-or-later
// A living process, or tree, whose place the rebuilt one takes; it stands still while its descriptors are handed over.
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/pids.h"
#include "os/proc.h"
#include "process/process.h"
#include "process/rest.h"
#include "process/wait.h"
#include "resource/json.h"
#include "restore/rebuilt.h"
#include "util/cleanup.h"

static const uint64_t FREEZE_NS = 4000000000, PATIENCE_NS = 1000000000;
static const uint64_t ID_NS =
	250000000; // clients wait meanwhile, and a parent that collects does so at once

static void release(struct replaced_process *p)
{
	if (p->handover.pidfd >= 0)
		close(p->handover.pidfd);
	process_closep(&p->process);
	free(p);
}

static struct err *freeze(struct replaced_process *p, pid_t pid, bool *rests)
{
	TRY(process_open(pid, &p->process));
	p->handover.pid = pid;
	p->handover.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (p->handover.pidfd < 0)
		return err_sys(errno, "cannot open process %d", pid);
	// What it took from a connection and did not answer would be lost with it.
	return process_freeze_at_rest(p->process, monotonic_ns() + FREEZE_NS, PATIENCE_NS,
				      NULL, rests);
}

static struct err *take_one(struct replaced *all, pid_t pid)
{
	struct replaced_process *p = calloc(1, sizeof(*p));
	bool rests = false;

	if (!p)
		return err_nomem();
	p->handover.pidfd = -1;
	struct err *e = freeze(p, pid, &rests);
	if (!e)
		e = vec_push(&all->v, p);
	if (e) {
		release(p);
		return e;
	}
	all->rests &= rests;
	if (all->v.n > 1)
		all->v.v[all->v.n - 2]->handover.next = &p->handover;
	return NULL;
}

// A parent that stands still gets no further children.
static struct err *take_children(struct replaced *all, pid_t parent)
{
	_cleanup_free_ pid_t *kids = NULL;
	struct os_status s;
	size_t n = 0;
	int r = os_children(parent, &kids, &n);

	if (r < 0)
		return err_sys(r, "cannot list the children of process %d", parent);
	for (size_t i = 0; i < n; i++)
		if (os_proc_status(kids[i], 0, &s) >= 0 && s.state != 'Z' && s.state != 'X')
			TRY(take_one(all, kids[i]));
	return NULL;
}

static struct err *take(struct replaced *all, pid_t pid, bool tree)
{
	TRY(take_one(all, pid));
	for (size_t i = 0; tree && i < all->v.n; i++)
		TRY(take_children(all, all->v.v[i]->handover.pid));
	return NULL;
}

struct err *replaced_take(pid_t pid, bool tree, struct replaced **ret)
{
	struct replaced *all = calloc(1, sizeof(*all));

	if (!all)
		return err_nomem();
	all->rests = true;
	struct err *e = take(all, pid, tree);
	if (e) {
		replaced_free(all);
		return err_wrap(e, "--replace");
	}
	*ret = all;
	return NULL;
}

struct err *replaced_check(const struct replaced *all, const json_t *manifest)
{
	const struct process *p = all->v.v[0]->process;
	_cleanup_free_ char *program = NULL, *comm = NULL;

	TRY(json_get_text(manifest, "program", PATH_MAX, &program));
	TRY(json_get_text(manifest, "comm", sizeof(p->comm), &comm));
	if (!strcmp(comm, p->comm) ||
	    (p->exe && !strcmp(basename(program), basename(p->exe))))
		return NULL;
	return err_refuse(
		"replace-other", p->exe,
		"--replace: process %d is %s (%s), the checkpoint is of %s (%s)", p->pid,
		p->comm, p->exe ? p->exe : "?", comm, program);
}

static void wait_for_end(struct replaced_process *p)
{
	pid_t pid = p->process->pid;

	// As their tracer; the first thread goes to its parent then.
	vec_for_each(t, &p->process->threads)
		if (t->tid != pid)
			wait_end(t->tid);
	wait_end(pid);
	vec_for_each(t, &p->process->threads) {
		t->state = THREAD_GONE;
		t->traced = false;
	}
}

int replaced_kill(const struct replaced *all)
{
	// Those after the first may have ended; it alone is what can fail, before anything has.
	vec_for_each(p, &all->v)
		if (syscall(SYS_pidfd_send_signal, (*p)->handover.pidfd, SIGKILL, NULL,
			    0) < 0 &&
		    errno != ESRCH && p == all->v.v)
			return -errno;
	return 0;
}

void replaced_collect(struct replaced *all)
{
	vec_for_each(p, &all->v)
		wait_for_end(*p);
}

bool replaced_wait_id(pid_t id)
{
	const struct timespec nap = {0, 500000};
	uint64_t deadline = monotonic_ns() + ID_NS;
	struct os_status s;

	while (!os_proc_is_gone(os_proc_status(id, 0, &s))) {
		if (monotonic_ns() >= deadline)
			return false;
		nanosleep(&nap, NULL);
	}
	return true;
}

void replaced_free(struct replaced *all)
{
	if (!all)
		return;
	vec_for_each(p, &all->v)
		release(*p);
	vec_free(&all->v);
	free(all);
}
