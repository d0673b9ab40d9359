// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static NOINLINE int below(int n)
{
	int sum = 0;

	while (n-- > 1)
		sum += n;
	return sum;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n;

	if (sscanf(cmd, "sum %d", &n) == 1)
		reply("%d", n + below(n));
}
