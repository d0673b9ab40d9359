// SPDX-License-Identifier: LGPL-2.1-or-later
#include <pthread.h>

#include "victim.h"

#define GENERATION 1

static volatile long mixed, rounds[8];
static volatile int last;

static NOINLINE int first(void)
{
	return GENERATION + (victim.ticks < 0);
}

static NOINLINE int second(void)
{
	return GENERATION + (victim.eintr < 0);
}

static NOINLINE void both(long i)
{
	volatile int c = GENERATION; // a change before the blocked call, another one behind it
	int a = first(), b;

	if (rounds[i] % 16 == i)
		usleep(200);
	b = second();
	if (a != b || a != c || b != GENERATION)
		mixed++;
	last = b;
	rounds[i]++;
}

static NOINLINE void *worker(void *arg)
{
	for (;;) {
		both((long)arg);
		usleep(300);
	}
	return NULL;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	long before[8];

	if (is(cmd, "start"))
		for (long i = 0; i < 8; i++) {
			pthread_t t;

			pthread_create(&t, NULL, worker, (void *)i);
		}
	for (int i = 0; i < 8; i++)
		before[i] = rounds[i];
	for (int i = 0; i < 8; i++)
		while (rounds[i] < before[i] + 3)
			usleep(100);
	reply("%s mixed %ld", last == 1 ? "old" : "new", mixed);
}
