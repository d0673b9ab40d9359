// SPDX-License-Identifier: LGPL-2.1-or-later
// Takes the helper thread away when it ends, whatever the tool is at. A target that starts another program (exec)
// waits until its other threads are gone, the traced helper too, and holds a lock meanwhile that PTRACE_SEIZE waits
// for: a tool that is just then in PTRACE_SEIZE would wait for ever, and the target with it.
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/uapi.h"
#include "process/helper_impl.h"
#include "process/wait.h"

static void *watch(void *arg)
{
	const struct helper *h = arg;
	struct pollfd p[2] = {{.fd = h->pidfd, .events = POLLIN},
			      {.fd = h->unwatch, .events = POLLIN}};

	// Not by waitid alone: that takes a traced thread's stops as well, whatever it is asked for.
	while (poll(p, ARRAY_SIZE(p), -1) < 0)
		;
	if (p[0].revents)
		wait_reap(h->pid_watched);
	return NULL;
}

void helper_watch(struct helper *h)
{
	sigset_t all, saved;

	h->pidfd = (int)syscall(SYS_pidfd_open, h->tid, UAPI_PIDFD_THREAD);
	if (h->pidfd < 0) // Linux 6.9
		return;
	h->unwatch = eventfd(0, EFD_CLOEXEC);
	if (h->unwatch < 0) {
		close(h->pidfd);
		return;
	}
	h->pid_watched = h->tid;
	// SIGCHLD wakes the thread that traces, and signals of the user are for the caller's threads.
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &saved);
	h->watched = !pthread_create(&h->watcher, NULL, watch, h);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	if (!h->watched) {
		close(h->unwatch);
		close(h->pidfd);
	}
}

void helper_unwatch(struct helper *h)
{
	if (!h->watched)
		return;
	eventfd_write(h->unwatch, 1); // it may wait for a helper that does not end
	pthread_join(h->watcher, NULL);
	close(h->unwatch);
	close(h->pidfd);
	h->watched = false;
}
