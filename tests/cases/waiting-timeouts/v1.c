// SPDX-License-Identifier: LGPL-2.1-or-later
#include <pthread.h>
#include <sys/epoll.h>
#include <time.h>

#include "victim.h"

enum { TIMEOUT_MS = 700, SLACK_MS = 350 };

static volatile long times, early, late, longest;

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

// One stop may cost the whole timeout once more; many may not cost more than one.
static void *sleeper(void *arg)
{
	int fd = (int)(long)arg;

	for (;;) {
		struct epoll_event e;
		double start = now_ms();
		int n = epoll_wait(fd, &e, 1, TIMEOUT_MS);
		double took = now_ms() - start;

		victim.eintr += n != 0;
		early += took < TIMEOUT_MS - 1;
		late += took > 2 * TIMEOUT_MS + SLACK_MS;
		if (took > (double)longest)
			longest = (long)took;
		times++;
	}
	return NULL;
}

// Computes, so that nobody can see from outside that it is still there.
static NOINLINE int slow(int ms)
{
	double end = now_ms() + ms;
	volatile int sum = 1;

	victim_say("inside");
	while (now_ms() < end)
		;
	return sum + ms;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n;

	if (is(cmd, "start")) {
		pthread_t t;

		pthread_create(&t, NULL, sleeper, (void *)(long)epoll_create1(0));
		reply("started");
	} else if (sscanf(cmd, "slow %d", &n) == 1) {
		reply("%d", slow(n));
	} else if (is(cmd, "times")) {
		reply("early %ld late %ld%s", early, late, times < 3 ? " few" : "");
	} else {
		reply("longest %ld ms", longest);
	}
}
