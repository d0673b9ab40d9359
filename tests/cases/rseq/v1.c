// SPDX-License-Identifier: LGPL-2.1-or-later
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>

#include "victim.h"

static int (*add_one)(long spin);
static struct { volatile long first, second; char far[112]; } *counters;
static volatile long aborted, committed[4];

static NOINLINE int note(long i, int done)
{
	return done ? (int)++committed[i] : (int)++aborted;
}

static void *worker(void *arg)
{
	long i = (long)arg;
	cpu_set_t one;

	// All on one processor, so that they compete.
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
	for (;;) {
		note(i, add_one(20000));
		if (committed[i] % 200 == 0)
			sched_yield();
	}
	return NULL;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	long before[4], sum = 0, got = 0;

	if (is(cmd, "start")) {
		void *lib;

		if (system("gcc -shared -fPIC -O2 -g -x c rseq.h -o ./rseq.so") || !(lib = dlopen("./rseq.so", RTLD_NOW))) {
			reply("no library");
			return;
		}
		add_one = (int (*)(long))dlsym(lib, "add_one");
		counters = dlsym(lib, "counters");
		for (long i = 0; i < 4; i++) {
			pthread_t t;

			pthread_create(&t, NULL, worker, (void *)i);
		}
	}
	for (int i = 0; i < 4; i++)
		before[i] = committed[i];
	for (int i = 0; i < 4; i++)
		while (committed[i] < before[i] + 50 || !aborted)
			usleep(1000);
	for (int i = 0; i < 4; i++)
		sum += committed[i];
	for (int i = 0; i < 256; i++)
		got += counters[i].first;
	// The counts go on while this looks.
	reply("lost %s", sum - got > 100 ? "many" : "none");
}
