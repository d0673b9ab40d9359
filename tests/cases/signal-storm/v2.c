// SPDX-License-Identifier: LGPL-2.1-or-later
#include <signal.h>
#include <sys/time.h>

#include "victim.h"

static volatile long seen;
static volatile int last;

static NOINLINE void work(void)
{
	for (volatile int i = 0; i < 20000; i++)
		;
}

static void on_alarm(int sig)
{
	(void)sig;
	work();
	last = 2;
	victim.ticks += 0;
	seen++;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	struct itimerval t = { { 0, 1000 }, { 0, 1000 } };
	long before = seen;

	if (is(cmd, "start")) {
		struct sigaction a = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };

		sigaction(SIGALRM, &a, NULL);
		setitimer(ITIMER_REAL, &t, NULL);
	}
	while (seen < before + 10)
		;
	if (is(cmd, "stop")) {
		memset(&t, 0, sizeof(t));
		setitimer(ITIMER_REAL, &t, NULL);
	}
	reply("%s steps %d", last == 1 ? "old" : "new", seen >= before + 10);
}
