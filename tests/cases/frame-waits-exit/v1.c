// SPDX-License-Identifier: LGPL-2.1-or-later
#include <pthread.h>

#include "victim.h"

static volatile int inside, cleaned;
static pthread_t thread;

static NOINLINE long slow(int ms)
{
	volatile int sum = 1;

	inside = 1;
	usleep((useconds_t)ms * 1000);
	pthread_exit((void *)(long)(sum + ms));
}

static void clean(void *arg)
{
	(void)arg;
	cleaned++;
}

static NOINLINE void *body(void *arg)
{
	long got;

	pthread_cleanup_push(clean, NULL);
	got = slow((int)(long)arg);
	pthread_cleanup_pop(0);
	return (void *)(got + 1);
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	void *result;
	int n;

	if (sscanf(cmd, "start %d", &n) == 1) {
		inside = 0;
		pthread_create(&thread, NULL, body, (void *)(long)n);
		while (!inside)
			usleep(100);
		reply("inside");
	} else {
		pthread_join(thread, &result);
		reply("cleaned %d result %ld", cleaned, (long)result);
	}
}
