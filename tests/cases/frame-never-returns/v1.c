// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"
#include "worker.h"

static NOINLINE int improve(int n)
{
	return n + (victim.ticks < 0);
}

static NOINLINE void *worker(void *arg)
{
	int n;
	volatile int calls = 0;

	(void)arg;
	while (calls++ >= 0 && worker_wait(&n)) {
		worker_done(improve(n));
	}
	return NULL;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n;

	if (sscanf(cmd, "work %d", &n) == 1)
		reply("%d", worker_ask(n));
}
