// SPDX-License-Identifier: LGPL-2.1-or-later
#include <pthread.h>
#include <semaphore.h>
#include <sys/epoll.h>

#include "victim.h"

enum { THREADS = 200, KINDS = 5 };

static volatile long rounds[THREADS];
static volatile int stop, wrong, ended;
static pthread_t threads[THREADS];
static sem_t sem;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static volatile int waves;
static int pipefd[2];

// This is on every stack and differs by what it says only.
static NOINLINE const char *who(void)
{
	return "old";
}

static NOINLINE int rest(int kind)
{
	struct epoll_event e;
	struct pollfd p = { pipefd[0], POLLIN, 0 };
	static __thread int epoll = -1;

	switch (kind) {
	case 0:
		return poll(&p, 1, 20);
	case 1:
		if (epoll < 0)
			epoll = epoll_create1(EPOLL_CLOEXEC);
		return epoll_wait(epoll, &e, 1, 20);
	case 2:
		return usleep(20000);
	case 3:
		return sem_wait(&sem);
	default:
		pthread_mutex_lock(&mutex);
		for (int before = waves; waves == before && !stop;)
			pthread_cond_wait(&cond, &mutex);
		pthread_mutex_unlock(&mutex);
		return 0;
	}
}

static void *worker(void *arg)
{
	long i = (long)arg;

	while (!stop) {
		if (rest((int)(i % KINDS)))
			wrong++;
		if (who()[3])
			wrong++;
		rounds[i]++;
	}
	__sync_fetch_and_add(&ended, 1);
	return NULL;
}

static void push(void)
{
	for (int i = 0; i < THREADS / KINDS; i++)
		sem_post(&sem);
	pthread_mutex_lock(&mutex);
	waves++;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&mutex);
	usleep(5000);
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	long before[THREADS];

	if (is(cmd, "start")) {
		pipe(pipefd);
		sem_init(&sem, 0, 0);
		for (long i = 0; i < THREADS; i++)
			pthread_create(&threads[i], NULL, worker, (void *)i);
	}
	for (int i = 0; i < THREADS; i++)
		before[i] = rounds[i];
	for (int i = 0; i < THREADS; i++)
		while (rounds[i] < before[i] + 2)
			push();
	if (is(cmd, "stop")) {
		stop = 1;
		while (ended < THREADS)
			push();
	}
	reply("%s wrong %d", who(), wrong);
}
