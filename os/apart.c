// SPDX-License-Identifier: LGPL-2.1-or-later
// Code that outlives a SIGKILL of the tool; see apart.h.
#include "os/apart.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { STACK = 256 << 10 };

struct call {
	void (*fn)(void *arg);
	void *arg;
	volatile int done;
};

static int enter(void *arg)
{
	struct call *c = arg;

	c->fn(c->arg);
	c->done = 1;
	return 0;
}

int os_run_apart(void (*fn)(void *arg), void *arg)
{
	struct call c = {fn, arg, 0};
	sigset_t all, saved;
	int r = 0, status;

	void *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		return -errno;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &saved);
	// The caller stands still until it ends (CLONE_VFORK), so both can have one errno.
	pid_t pid = clone(enter, (uint8_t *)stack + STACK,
			  CLONE_VM | CLONE_FILES | CLONE_VFORK, &c);
	if (pid < 0)
		r = -errno;
	else
		while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	munmap(stack, STACK);
	return r ? r : c.done ? 0 : -EIO;
}
