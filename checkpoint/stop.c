// SPDX-License-Identifier: LGPL-2.1-or-later
// See stop.h.
#include "checkpoint/stop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/param.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "checkpoint/family.h"
#include "os/proc.h"
#include "util/cleanup.h"

static const uint64_t FREEZE_NS = 5000000000;
static const uint64_t STOPPED_NS = 1000000000; // for SIGSTOP to take effect
enum { END_MS = 10000 };

static struct err *save_all(struct run *r)
{
	vec_for_each(t, &r->tasks)
		TRY(task_search_begin(*t));
	vec_for_each(t, &r->tasks)
		TRY(task_save_state(*t, &r->saving));
	vec_for_each(t, &r->tasks)
		TRY(task_save_memory(*t, &r->saving, &r->shared));
	return saving_finish(&r->saving);
}

static bool known(const struct run *r, pid_t pid)
{
	vec_for_each(t, &r->tasks)
		if ((*t)->process->pid == pid)
			return true;
	return false;
}

// Children that came into being since the family was read last.
static struct err *open_new(struct run *r)
{
	_cleanup_(pids_deinit) struct pids pids = {0};

	TRY(family_read(r->root, &pids));
	vec_for_each(pid, &pids.v)
		if (!known(r, *pid))
			TRY(run_open_child(r, *pid));
	return NULL;
}

// One that was ending while it was stopped has no threads left.
static struct err *freeze(struct task *t, uint64_t deadline)
{
	process_boost(t->process);
	TRY(task_freeze(t, deadline));
	vec_for_each(th, &t->process->threads)
		if (th->state == THREAD_STOPPED)
			return NULL;
	return err_new(ERR_LOST, "process %d has ended", t->process->pid);
}

// Parents first, so that there comes an end to new children.
static struct err *freeze_all(struct run *r)
{
	uint64_t deadline = monotonic_ns() + FREEZE_NS;

	for (size_t done = 0; done < r->tasks.n;) {
		while (done < r->tasks.n) {
			struct task *t = r->tasks.v[done];

			TRY(run_drop_ended(r, done, freeze(t, deadline)));
			done += done < r->tasks.n && r->tasks.v[done] == t;
		}
		if (r->opt->tree)
			TRY(open_new(r));
	}
	return NULL;
}

static bool is_stopped(const struct task *t)
{
	struct os_status s;
	int r = os_proc_status(t->process->pid, 0, &s);

	return r < 0 || s.state == 'T';
}

// The first thread takes the signal before it runs an instruction, and the others find the stop under way when they are
// let go.
static struct err *park(struct task *t)
{
	const struct timespec nap = {.tv_nsec = 50000};
	uint64_t deadline = monotonic_ns() + STOPPED_NS;
	TRY(task_leave(t));
	struct thread *first = process_thread(t->process, t->process->pid);
	if (!first || first->group_stop)
		return NULL;
	if (syscall(SYS_pidfd_send_signal, t->pidfd, SIGSTOP, NULL, 0) < 0)
		return err_sys(errno, "cannot stop process %d", t->process->pid);
	TRY(thread_release(t->process, first));
	while (!is_stopped(t) && monotonic_ns() < deadline)
		nanosleep(&nap, NULL);
	return NULL;
}

// What is to be ended does not run again.
static struct err *let_go(struct run *r, bool failed, uint64_t *last)
{
	struct err *e = NULL;

	*last = monotonic_ns();
	for (size_t i = 0; i < r->tasks.n; i++) {
		struct task *t = r->tasks.v[i];

		if (!t->frozen || (r->opt->after == SAVE_KILL && !failed))
			continue;
		if (r->opt->after == SAVE_STOP && !failed)
			e = err_first(e, park(t));
		e = err_first(e, task_thaw(t, last));
	}
	return e;
}

struct err *run_stop(struct run *r)
{
	uint64_t last;
	struct err *e = freeze_all(r);

	if (!e)
		e = save_all(r);
	e = err_first(e, let_go(r, e != NULL, &last));
	for (size_t i = r->tasks.n; i-- > 0;)
		process_unboost(r->tasks.v[i]->process);
	vec_for_each(t, &r->tasks)
		r->ret->stop2_ns = MAX(r->ret->stop2_ns, (*t)->short_stop);
	if (!e)
		r->ret->stop_ns = last - r->tasks.v[0]->first_stop;
	return e;
}

struct err *run_end(struct run *r)
{
	struct err *e = NULL;

	// Children first: no parent is to see one end.
	for (size_t i = r->tasks.n; i-- > 0;) {
		struct task *t = r->tasks.v[i];

		if (syscall(SYS_pidfd_send_signal, t->pidfd, SIGKILL, NULL, 0) < 0 &&
		    errno != ESRCH)
			e = err_first(e, err_sys(errno, "cannot end process %d",
						 t->process->pid));
	}
	vec_for_each(t, &r->tasks) {
		struct pollfd p = {.fd = (*t)->pidfd, .events = POLLIN};

		(*t)->frozen = false;
		process_close((*t)->process);
		(*t)->process = NULL;
		poll(&p, 1, e ? 0 : END_MS);
	}
	return e;
}
