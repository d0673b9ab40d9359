// SPDX-License-Identifier: LGPL-2.1-or-later
#include <signal.h>
#include <time.h>

#include "victim.h"

static volatile int handled;

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static NOINLINE void on_signal(int sig)
{
	double end = now_ms() + 600;

	(void)sig;
	while (now_ms() < end)
		usleep(5000);
	handled++;
}

static NOINLINE int slow(int ms)
{
	volatile int sum = 1;
	double end = now_ms() + ms;

	victim_say("inside");
	while (now_ms() < end)
		usleep(1000);
	return sum + ms;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n;

	signal(SIGUSR1, on_signal);
	if (sscanf(cmd, "slow %d", &n) == 1) {
		n = slow(n);
		reply("%d handled %d", n, handled);
	}
}
