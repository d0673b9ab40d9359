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

// Padding in reach of the short functions, but not behind them.
__attribute__((aligned(32))) NOINLINE int before_padding(void)
{
	return victim.timer;
}

__attribute__((aligned(32))) NOINLINE int behind_padding(void)
{
	return victim.timer + 1;
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
	if (behind_padding() - before_padding() != 1)
		return;
	reply("%d %d %d %s", table[0](), table[1](), table[2](), table[0] == zero ? "same" : "differ");
}
