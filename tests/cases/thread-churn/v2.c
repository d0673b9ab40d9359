// SPDX-License-Identifier: LGPL-2.1-or-later
#include <pthread.h>

#include "victim.h"

static volatile int wrong, last, stop;
static volatile long made;
static pthread_t maker;

static NOINLINE void *brief(void *arg)
{
	int n = *(int *)arg;

	free(arg);
	last = 2 + (n == 12345);
	if (n != 77)
		wrong++;
	return NULL;
}

static NOINLINE void *make(void *arg)
{
	(void)arg;
	while (!stop) {
		pthread_t t;
		int *n = (int *)malloc(sizeof(*n));

		*n = 77;
		if (pthread_create(&t, NULL, brief, n))
			wrong++;
		else
			pthread_join(t, NULL);
		made++;
		usleep(200);
	}
	return NULL;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	long before = made;

	if (is(cmd, "start"))
		pthread_create(&maker, NULL, make, NULL);
	while (made < before + 5)
		usleep(100);
	if (is(cmd, "stop")) {
		stop = 1;
		pthread_join(maker, NULL);
	}
	reply("%s wrong %d", last == 1 ? "old" : "new", wrong);
}
