// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

#include <pthread.h>

static volatile long beats;
static pthread_t thread;

static NOINLINE void beat(void)
{
	beats += 2;
	usleep(1000);
}

static NOINLINE void *loop(void *arg)
{
	(void)arg;
	for (;;) {
		beat();
		beats++;
	}
	return NULL;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "start")) {
		pthread_create(&thread, NULL, loop, NULL);
		reply("started");
	} else {
		long was = beats;

		usleep(50000);
		reply("%s", beats > was ? "beats" : "dead");
	}
}
