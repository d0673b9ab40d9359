// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"
#include "worker.h"

static NOINLINE int improve(int n)
{
	return n + 1000;
}

static NOINLINE void *worker(void *arg)
{
	int n;

	(void)arg;
	while (worker_wait(&n)) {
		n = improve(n);
		worker_done(n);
	}
	return NULL;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n;

	if (sscanf(cmd, "work %d", &n) == 1)
		reply("%d", worker_ask(n));
}
