// SPDX-License-Identifier: LGPL-2.1-or-later
#include <pthread.h>

#include "victim.h"

static pthread_key_t key;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t go = PTHREAD_COND_INITIALIZER;
static pthread_t thread;
static int stop, destroyed;
static char said[40] = "none";

static void destroy(void *value)
{
	destroyed += *(int *)value;
	snprintf(said, sizeof(said), "old %d", destroyed);
}

static NOINLINE void *wait_for_end(void *arg)
{
	static int one = 1;

	pthread_setspecific(key, &one);
	pthread_mutex_lock(&lock);
	while (!stop)
		pthread_cond_wait(&go, &lock);
	pthread_mutex_unlock(&lock);
	return arg;
}

static NOINLINE void start(void)
{
	stop = 0;
	pthread_create(&thread, NULL, wait_for_end, NULL);
}

__attribute__((constructor)) static void prepare(void)
{
	pthread_key_create(&key, destroy);
	start();
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "start")) {
		start();
		reply("started");
		return;
	}
	if (is(cmd, "end")) {
		pthread_mutex_lock(&lock);
		stop = 1;
		pthread_cond_signal(&go);
		pthread_mutex_unlock(&lock);
		pthread_join(thread, NULL);
	}
	reply("%s", said);
}
