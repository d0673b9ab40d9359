// SPDX-License-Identifier: LGPL-2.1-or-later
#include <pthread.h>

#include "victim.h"

static __thread int count = 10;
static __thread char pad[40];
static int to[2], from[2];

static NOINLINE int bump(void)
{
	count += 2;
	return count + pad[0];
}

static void *worker(void *arg)
{
	char c;

	(void)arg;
	count = 100;
	while (read(to[0], &c, 1) == 1) {
		int n = bump();

		write(from[1], &n, sizeof(n));
	}
	return NULL;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	static pthread_t thread;

	if (!thread) {
		pipe(to);
		pipe(from);
		pthread_create(&thread, NULL, worker, NULL);
	}
	if (is(cmd, "there")) {
		int n = 0;

		write(to[1], "", 1);
		read(from[0], &n, sizeof(n));
		reply("%d", n);
	} else {
		reply("%d", bump());
	}
}
