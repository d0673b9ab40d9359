// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static int (*volatile stored)(int);

NOINLINE int twice(int n)
{
	return 2 * n;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n;

	if (!stored)
		stored = twice;
	if (sscanf(cmd, "direct %d", &n) == 1)
		reply("%d", twice(n));
	else if (sscanf(cmd, "stored %d", &n) == 1)
		reply("%d", stored(n));
}
