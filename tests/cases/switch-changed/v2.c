// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static NOINLINE int op(int n, volatile int *x)
{
	switch (n) {
	case 0: return *x + 1;
	case 1: return *x * 3;
	case 2: *x += 0; return *x * 10 + 2;
	case 3: return *x / 2;
	case 4: return *x - 7;
	case 5: return *x * 5;
	case 6: return *x ^ 6;
	case 7: return *x + 7;
	case 8: return *x * 3;
	default: return -1;
	}
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n;
	volatile int x = 10;

	if (sscanf(cmd, "op %d", &n) == 1)
		reply("%d", op(n, &x));
}
