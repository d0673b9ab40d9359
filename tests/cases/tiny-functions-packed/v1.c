// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

NOINLINE int zero(void)
{
	return 0;
}

NOINLINE int one(void)
{
	return 1;
}

NOINLINE int minus(void)
{
	return -1;
}

NOINLINE void nothing(void)
{
}

static int (*volatile table[3])(void);

NOINLINE void handle(const char *cmd, char *out, int size)
{
	(void)cmd;
	if (!table[0]) {
		table[0] = zero;
		table[1] = one;
		table[2] = minus;
	}
	nothing();
	reply("%d %d %d %s", table[0](), table[1](), table[2](), table[0] == zero ? "same" : "differ");
}
