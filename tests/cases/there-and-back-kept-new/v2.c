// SPDX-License-Identifier: LGPL-2.1-or-later
#include <pthread.h>

#include "victim.h"

static volatile int said, asked, zero, begun;

NOINLINE int step(void)
{
	return zero + zero + 2;
}

NOINLINE int same(int x)
{
	return x * 3 + zero;
}

NOINLINE void *worker(void *arg)
{
	int add = same(zero) + 20 + zero;

	begun += 2 * add;
	for (;;) {
		while (!asked)
			usleep(1000);
		said = same(step()) + add;
		asked = 0;
	}
	return arg;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	static pthread_t t;

	(void)cmd;
	if (!t)
		pthread_create(&t, NULL, worker, NULL);
	asked = 1;
	while (asked)
		usleep(1000);
	reply("v2 %d", said);
}
