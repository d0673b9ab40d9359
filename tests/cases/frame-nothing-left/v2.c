// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"
#include "worker.h"

static int answered;

static NOINLINE int answer(int n)
{
	answered++;
	return n + 100;
}

static NOINLINE void begin(int what)
{
	answered = what;
}

static NOINLINE void *worker(void *arg)
{
	int n;

	(void)arg;
	begin(2);
	begin(3);
	while (worker_wait(&n))
		worker_done(answer(n));
	return NULL;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n;

	if (sscanf(cmd, "work %d", &n) == 1)
		reply("%d", worker_ask(n));
}
