// SPDX-License-Identifier: LGPL-2.1-or-later
// The only caller of waitid; see wait.h.
#include "process/wait.h"

#include <errno.h>
#include <linux/ptrace.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "os/ptrace.h"
#include "process/process.h"

// How long to sleep between two looks, doubling: a wake-up is lost where SIGCHLD is ignored, or where another thread
// of the tool takes it.
static const uint64_t FIRST_NAP_NS = 50000, LONGEST_NAP_NS = 1600000;
static const uint64_t NS = 1000000000;

static struct stop classify(const siginfo_t *si)
{
	int sig = si->si_status & 0xff, event = si->si_status >> 8;

	if (si->si_code == CLD_EXITED || si->si_code == CLD_KILLED ||
	    si->si_code == CLD_DUMPED)
		return (struct stop){STOP_EXITED, 0};
	switch (event) {
	case 0:
		if (sig == (SIGTRAP | 0x80))
			return (struct stop){STOP_SYSCALL, 0};
		return (struct stop){STOP_SIGNAL, sig};
	case PTRACE_EVENT_STOP:
		return (struct stop){sig == SIGTRAP ? STOP_EVENT : STOP_GROUP, sig};
	case PTRACE_EVENT_CLONE:
		return (struct stop){STOP_CLONE, 0};
	case PTRACE_EVENT_EXEC:
		return (struct stop){STOP_EXEC, 0};
	default:
		return (struct stop){STOP_OTHER, 0};
	}
}

// False when there is nothing to tell yet.
static bool look(pid_t tid, struct stop *ret)
{
	siginfo_t si;
	int r;

	do
		r = os_waitid(tid, WEXITED | WSTOPPED | WNOHANG | WNOWAIT, &si);
	while (r == -EINTR);
	if (r < 0)
		*ret = (struct stop){STOP_LOST, 0};
	else if (si.si_pid)
		*ret = classify(&si);
	return r < 0 || si.si_pid;
}

struct stop wait_stop(pid_t tid, uint64_t deadline)
{
	struct stop ret = {STOP_NONE, 0};
	uint64_t slice = FIRST_NAP_NS;
	sigset_t chld, saved;

	// The usual case of a thread that was interrupted together with others needs one call.
	if (look(tid, &ret))
		return ret;
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &chld, &saved);
	while (!look(tid, &ret)) {
		uint64_t now = monotonic_ns();

		if (now >= deadline)
			break;
		uint64_t nap = deadline - now < slice ? deadline - now : slice;
		struct timespec ts = {(time_t)(nap / NS), (long)(nap % NS)};
		sigtimedwait(&chld, NULL, &ts);
		if (slice < LONGEST_NAP_NS)
			slice *= 2;
	}
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	return ret;
}

void wait_reap(pid_t tid)
{
	siginfo_t si;

	while (os_waitid(tid, WEXITED | WNOHANG, &si) == -EINTR)
		;
}

void wait_end(pid_t tid)
{
	siginfo_t si;
	int r;

	do
		r = os_waitid(tid, WEXITED, &si);
	while (r == -EINTR);
}

uint64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS + (uint64_t)ts.tv_nsec;
}
