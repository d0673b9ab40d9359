// SPDX-License-Identifier: GPL-2.0-or-later
// What debuggers are shown in tests/cmd/symbols: variables of every kind with values that only a running program
// has. -DV=1, 2, 3: three releases; addresses, sizes and functions change. Ends with its standard input.
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NOINLINE __attribute__((noinline))

#if V >= 2
long filler_two[100] = {1}; // moves what follows
int added_two = 2200;
#endif
#if V >= 3
long filler_three[700] = {1};
int added_three = 3300;
#endif

struct settings {
	int port;
	const char *name;
	long hits;
};

struct settings settings = {1, "initial", 0};
static struct settings other = {2, "other", 0};
static int counter = 3;
static char text[40];
__thread int per_thread = 4;
const char *const words[] = {"alpha", "beta"};
int grown[V >= 2 ? 40 : 4] = {5, 6, 7, 8};
static long spins;
static struct settings *volatile last; // whatever it may point to stays whole

NOINLINE int callback_function(int n)
{
	static int calls = 6;

	calls += n;
#if V >= 2
	added_two += 22;
	filler_two[n & 3]++;
#endif
#if V >= 3
	added_three += 33;
	filler_three[n & 3]++;
#endif
	return calls + counter + other.port + grown[n & 3] + *words[n & 1];
}

int (*volatile callback)(int) = callback_function;

NOINLINE void wait_here(int ms)
{
	struct pollfd p = {0, POLLIN, 0};

	if (poll(&p, 1, ms))
		exit(0);
}

// Where it waits, the pointer is known to the debugger only as the address of a variable.
NOINLINE long work(void)
{
	struct settings *now = &settings;

	now->hits++;
	wait_here(10000);
	last = now = &other;
	return now->hits++;
}

NOINLINE void burn(void)
{
	for (volatile int i = 0; i < 400000; i++)
		spins++;
}

static void *worker(void *arg)
{
	const struct timespec pause = {0, 2000000};

	per_thread = 4444;
	for (;;) {
		burn();
		nanosleep(&pause, NULL);
	}
	return arg;
}

NOINLINE void base_loop(void)
{
	printf("ready\n");
	fflush(stdout);
	for (;;) {
#if V >= 2
		if (settings.port < 0)
			puts("negative");
#endif
		work();
	}
}

NOINLINE void prepare(void)
{
	settings.port = 4242;
	settings.name = "running";
	other.port = 5252;
	counter = 6262;
	per_thread = 7272;
	grown[1] = 8282;
	snprintf(text, sizeof(text), "port %d", settings.port);
	callback(100);
}

int main(void)
{
	pthread_t thread;

	prepare();
	pthread_create(&thread, NULL, worker, NULL);
	base_loop();
}
