// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static int count;

static NOINLINE void nap(int ms)
{
	usleep((useconds_t)ms * 1000);
}

static NOINLINE int slow(int ms)
{
	volatile int sum = 12, extra = ms * 7;

	if (ms > 0)
		victim_say("inside");
	nap(ms);
	count++;
	victim.eintr += extra < 0;
	if (sum > 11)
		sum += 1000;
	return sum + ms;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n;

	if (sscanf(cmd, "slow %d", &n) == 1)
		reply("%d", slow(n));
	else if (is(cmd, "count"))
		reply("%d", count);
}
