// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static int (*volatile stored)(int);

NOINLINE int thrice(int n)
{
	return 3 * n;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n;

	if (!stored)
		stored = thrice;
	if (sscanf(cmd, "direct %d", &n) == 1)
		reply("%d", thrice(n));
	else if (sscanf(cmd, "stored %d", &n) == 1)
		reply("%d", stored(n));
}
