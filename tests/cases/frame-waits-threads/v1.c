// SPDX-License-Identifier: LGPL-2.1-or-later
#include <pthread.h>
#include <time.h>

#include "victim.h"

enum { QUICK = 6, LONGEST_MS = 400 };

static volatile int wrong, last;
static volatile long rounds[QUICK];

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static NOINLINE int slow(int ms)
{
	volatile int sum = 1;

	usleep((useconds_t)ms * 1000);
	return sum + ms;
}

static NOINLINE int call(int ms)
{
	return slow(ms) + 0 * (int)victim.ticks;
}

// None of them may stand for long because the update waits for another one.
static void *quick(void *arg)
{
	long i = (long)arg;

	for (;;) {
		double start = now_ms();
		int got = call(2);

		if (got != 3 && got != 1014)
			wrong++;
		if (now_ms() - start > LONGEST_MS)
			wrong++;
		last = got;
		rounds[i]++;
		usleep(200);
	}
	return NULL;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n;

	if (sscanf(cmd, "slow %d", &n) == 1) {
		victim_say("inside");
		reply("%d", call(n));
		return;
	}
	if (is(cmd, "start"))
		for (long i = 0; i < QUICK; i++) {
			pthread_t t;

			pthread_create(&t, NULL, quick, (void *)i);
		}
	for (int i = 0; i < QUICK; i++)
		for (long before = rounds[i]; rounds[i] < before + 3;)
			usleep(1000);
	reply("%s wrong %d", last == 3 ? "old" : "new", wrong);
}
