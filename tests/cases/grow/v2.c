// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static int calls;

static NOINLINE int price(int n)
{
	int sum = n;

	for (int i = 1; i < n; i++)
		sum += i * i % 7;
	if (sum > 1000)
		sum = 1000;
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
