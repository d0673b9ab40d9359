// SPDX-License-Identifier: LGPL-2.1-or-later
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/wait.h>
#include <time.h>

#include "victim.h"

static volatile int inside, done, wrong;
static volatile long gap_ms;

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

// The child runs in the parent's memory, and the parent cannot be stopped before it has ended.
static void *parent(void *arg)
{
	long ms = (long)arg;
	int status = 0;
	pid_t child = vfork();

	if (!child) {
		struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

		inside = 1;
		nanosleep(&t, NULL);
		_exit(7);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 7)
		wrong++;
	done++;
	return NULL;
}

// How long the other threads stand at most.
static void *clock_watcher(void *arg)
{
	(void)arg;
	for (double last = now_ms();; ) {
		double now;

		usleep(2000);
		now = now_ms();
		if (now - last > (double)gap_ms)
			gap_ms = (long)(now - last);
		last = now;
	}
	return NULL;
}

static NOINLINE const char *name(void)
{
	return "new" + (victim.ticks < 0);
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	pthread_t t;
	long ms;

	if (is(cmd, "watch")) {
		pthread_create(&t, NULL, clock_watcher, NULL);
		reply("watching");
	} else if (sscanf(cmd, "vfork %ld", &ms) == 1) {
		inside = done = 0;
		pthread_create(&t, NULL, parent, (void *)ms);
		while (!inside)
			usleep(100);
		reply("inside");
	} else if (is(cmd, "gap")) {
		// The processors may be busy, too.
		reply("%s", gap_ms < 400 ? "short" : "long");
	} else {
		while (!done)
			usleep(1000);
		reply("%s wrong %d", name(), wrong);
	}
}
