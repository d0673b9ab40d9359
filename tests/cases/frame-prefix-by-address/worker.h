// SPDX-License-Identifier: LGPL-2.1-or-later
// A thread that waits for numbers and answers them.
#pragma once

#include <pthread.h>

static int worker_to[2], worker_from[2];
static NOINLINE void *worker(void *arg);

static NOINLINE int worker_wait(int *n)
{
	return read(worker_to[0], n, sizeof(*n)) == sizeof(*n);
}

static NOINLINE void worker_done(int n)
{
	write(worker_from[1], &n, sizeof(n));
}

static NOINLINE int worker_ask(int n)
{
	static pthread_t thread;

	if (!thread) {
		pipe(worker_to);
		pipe(worker_from);
		pthread_create(&thread, NULL, worker, NULL);
	}
	write(worker_to[1], &n, sizeof(n));
	read(worker_from[0], &n, sizeof(n));
	return n;
}
