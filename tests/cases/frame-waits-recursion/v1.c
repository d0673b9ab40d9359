// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

#define WHO "old"

static NOINLINE int slow(int depth)
{
	int below, add = 0;

	if (depth == 1)
		victim_say("inside");
	below = depth > 1 ? slow(depth - 1) : 0;
	usleep(150000);
	return below + 1 + add;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n;

	if (sscanf(cmd, "slow %d", &n) == 1)
		n = slow(n), reply(WHO " %d", n);
}
