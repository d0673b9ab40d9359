// SPDX-License-Identifier: LGPL-2.1-or-later
#include <pthread.h>

#include "victim.h"

static volatile int last, times;

static NOINLINE int slow(int ms)
{
	volatile int sum = 12, extra = ms * 7;

	usleep((useconds_t)ms * 1000);
	victim.eintr += extra < 0;
	return sum + 1000 + ms;
}

static void *again(void *arg)
{
	(void)arg;
	for (;;) {
		last = slow(400);
		times++;
	}
	return NULL;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int before = times;

	if (is(cmd, "start")) {
		pthread_t t;

		pthread_create(&t, NULL, again, NULL);
	}
	while (times < before + 2)
		usleep(1000);
	reply("%s", last == 401 ? "old" : "new");
}
