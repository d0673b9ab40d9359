// SPDX-License-Identifier: LGPL-2.1-or-later
// A living process whose place the rebuilt one takes; it stands still while its descriptors are handed over.
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/proc.h"
#include "process/process.h"
#include "process/rest.h"
#include "process/wait.h"
#include "restore/rebuilt.h"

static const uint64_t FREEZE_NS = 4000000000, PATIENCE_NS = 1000000000;
static const uint64_t ID_NS =
	250000000; // clients wait meanwhile, and a parent that collects does so at once

static struct err *take(struct replaced *p, pid_t pid)
{
	TRY(process_open(pid, &p->process));
	p->handover.pid = pid;
	p->handover.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (p->handover.pidfd < 0)
		return err_sys(errno, "cannot open process %d", pid);
	// What it took from a connection and did not answer would be lost with it.
	return process_freeze_at_rest(p->process, monotonic_ns() + FREEZE_NS, PATIENCE_NS,
				      NULL, &p->rests);
}

struct err *replaced_take(pid_t pid, struct replaced **ret)
{
	struct replaced *p = calloc(1, sizeof(*p));

	if (!p)
		return err_nomem();
	p->handover.pidfd = -1;
	struct err *e = take(p, pid);
	if (e) {
		replaced_free(p);
		return err_wrap(e, "--replace");
	}
	*ret = p;
	return NULL;
}

struct err *replaced_end(struct replaced *p)
{
	pid_t pid = p->process->pid;

	if (syscall(SYS_pidfd_send_signal, p->handover.pidfd, SIGKILL, NULL, 0) < 0 &&
	    errno != ESRCH)
		return err_sys(errno, "cannot end process %d", pid);
	p->ended = true;
	// As their tracer; the first thread goes to its parent then.
	vec_for_each(t, &p->process->threads)
		if (t->tid != pid)
			wait_end(t->tid);
	wait_end(pid);
	vec_for_each(t, &p->process->threads) {
		t->state = THREAD_GONE;
		t->traced = false;
	}
	return NULL;
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

void replaced_free(struct replaced *p)
{
	if (!p)
		return;
	if (p->handover.pidfd >= 0)
		close(p->handover.pidfd);
	process_closep(&p->process);
	free(p);
}
