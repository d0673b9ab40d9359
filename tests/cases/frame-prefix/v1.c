// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"
#include "worker.h"

static NOINLINE void *worker(void *arg)
{
	(void)arg;
	for (;;) {
		int n = worker_wait();

		if (n < 0)
			return NULL;
		worker_done(n);
	}
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n;

	if (sscanf(cmd, "work %d", &n) == 1)
		reply("%d", worker_ask(n));
}
