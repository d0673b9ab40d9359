// SPDX-License-Identifier: LGPL-2.1-or-later
#include <pthread.h>

#include "victim.h"

static volatile int inside, cleaned;
static pthread_t thread;

static NOINLINE long slow(int ms)
{
	volatile int sum = 12, extra = ms * 7;

	inside = 1;
	usleep((useconds_t)ms * 1000);
	pthread_exit((void *)(long)(sum + 1000 + ms + (extra < 0)));
}

static void clean(int *what)
{
	cleaned += *what;
}

static NOINLINE void *body(void *arg)
{
	int one __attribute__((cleanup(clean))) = 1;

	return (void *)(slow((int)(long)arg) + one);
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
	} else if (is(cmd, "cancel")) {
		pthread_create(&thread, NULL, body, (void *)9000);
		usleep(20000);
		pthread_cancel(thread);
		pthread_join(thread, NULL);
		reply("cleaned %d", cleaned);
	} else {
		pthread_join(thread, &result);
		reply("cleaned %d result %ld", cleaned, (long)result);
	}
}
