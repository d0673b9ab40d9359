// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static int calls;

static NOINLINE int price(int n)
{
	int sum = n;

	calls++;
	return sum;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n;

	if (sscanf(cmd, "price %d", &n) == 1) {
		int p = price(n);

		reply("%d (call %d)", p, calls);
	}
}
