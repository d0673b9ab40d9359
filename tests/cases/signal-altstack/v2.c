// SPDX-License-Identifier: LGPL-2.1-or-later
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "victim.h"

#define WHO "new"

static volatile int inside, go_on, changed_inside, rounds[2], wrong;
static volatile long seen[2];
static char stacks[2][65536];
static pthread_t threads[2];

// Only this differs.
static NOINLINE const char *who(void)
{
	return WHO;
}

static NOINLINE void wait_here(void)
{
	while (!go_on) {
		struct timespec t = { 0, 2000000 };

		nanosleep(&t, NULL);
	}
}

// On the alternate stack, in code that is the same in both programs.
static NOINLINE void on_signal(int sig, siginfo_t *info, void *context)
{
	char here;
	int i = pthread_equal(pthread_self(), threads[1]);

	(void)context;
	if (&here < stacks[i] || &here >= stacks[i] + sizeof(stacks[i]) || info->si_signo != sig)
		wrong++;
	__sync_fetch_and_add(&inside, 1);
	wait_here();
	if (&here < stacks[i] || &here >= stacks[i] + sizeof(stacks[i]))
		wrong++;
}

// Computes in registers, so that a wrong return from the handler shows.
static NOINLINE long compute(long seed)
{
	long a = seed, b = 1, c = 2;

	for (int i = 0; i < 20000; i++) {
		a = a * 31 + b;
		b ^= a >> 3;
		c += b & 7;
	}
	return a ^ b ^ c;
}

static void *worker(void *arg)
{
	int i = (int)(long)arg;
	stack_t s = { .ss_sp = stacks[i], .ss_size = sizeof(stacks[i]) };
	long want = compute(i);

	sigaltstack(&s, NULL);
	for (;;) {
		long got = compute(i);

		wrong += got != want;
		seen[i] = got;
		rounds[i]++;
	}
	return NULL;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "start")) {
		struct sigaction a = { .sa_sigaction = on_signal, .sa_flags = SA_ONSTACK | SA_SIGINFO };

		sigaction(SIGUSR1, &a, NULL);
		for (long i = 0; i < 2; i++)
			pthread_create(&threads[i], NULL, worker, (void *)i);
	} else if (is(cmd, "signal")) {
		inside = go_on = 0;
		for (int i = 0; i < 2; i++)
			pthread_kill(threads[i], SIGUSR1);
		while (inside < 2)
			usleep(1000);
		reply("inside");
		return;
	} else if (is(cmd, "go on")) {
		go_on = 1;
	}
	for (int i = 0; i < 2; i++)
		for (int before = rounds[i]; rounds[i] < before + 20;)
			usleep(1000);
	reply("%s wrong %d", who(), wrong);
}
