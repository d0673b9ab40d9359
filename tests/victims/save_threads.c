// SPDX-License-Identifier: LGPL-2.1-or-later
// Threads that work on shared data under a mutex and a condition variable, each with thread-local state; a recursive mutex is
// held across the checkpoint.
#include <pthread.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "tests/victims/self.h"

enum { THREADS = 6 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER, recursive;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static uint64_t rounds[THREADS], asked;
static pid_t tids[THREADS];
static _Thread_local uint64_t own;
static _Thread_local pid_t own_tid;

static void *worker(void *arg)
{
	size_t i = (size_t)arg;
	double sum = 1.0 + (double)i;

	own_tid = (pid_t)syscall(SYS_gettid);
	tids[i] = own_tid;
	for (uint64_t seen = 0;;) {
		pthread_mutex_lock(&lock);
		while (asked == seen)
			pthread_cond_wait(&changed, &lock);
		seen = asked;
		own++;
		sum *= 1.5;
		rounds[i]++;
		if (own != rounds[i] || own_tid != tids[i] || syscall(SYS_gettid) != own_tid)
			rounds[i] = UINT64_MAX / 2;
		pthread_cond_broadcast(&changed);
		pthread_mutex_unlock(&lock);
	}
	return (void *)(uintptr_t)sum;
}

static void check(void)
{
	expect(pthread_mutex_trylock(&recursive) == 0, "the mutex it held is another's");
	pthread_mutex_unlock(&recursive);
	pthread_mutex_lock(&lock);
	asked++;
	pthread_cond_broadcast(&changed);
	for (int i = 0; i < THREADS; i++)
		while (rounds[i] < asked)
			pthread_cond_wait(&changed, &lock);
	for (int i = 0; i < THREADS; i++)
		expect(rounds[i] == asked, "thread %d did %ju of %ju rounds", i,
		       (uintmax_t)rounds[i], (uintmax_t)asked);
	pthread_mutex_unlock(&lock);
}

int main(void)
{
	pthread_mutexattr_t attr;
	pthread_t t;

	self_block();
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&recursive, &attr);
	pthread_mutex_lock(&recursive);
	for (size_t i = 0; i < THREADS; i++)
		pthread_create(&t, NULL, worker, (void *)i);
	self_run(check);
}
