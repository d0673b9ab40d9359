// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static NOINLINE int nap(int ms, int result)
{
	usleep((useconds_t)ms * 1000);
	return result;
}

// A jump at its end: while nap runs, this function is on no stack any more.
static NOINLINE int slow(int ms)
{
	volatile int sum = 12, extra = ms * 7;

	victim_say("inside");
	usleep((useconds_t)ms * 1000);
	victim.eintr += extra < 0;
	return nap(ms, sum + 1000 + ms);
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n;

	if (sscanf(cmd, "slow %d", &n) == 1)
		reply("%d", slow(n));
}
