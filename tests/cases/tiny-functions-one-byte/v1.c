// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

NOINLINE __attribute__((aligned(64))) void nothing(void)
{
	__asm__ volatile("");
}

NOINLINE int zero(void)
{
	return 0;
}

NOINLINE int one(void)
{
	return 1;
}

NOINLINE __attribute__((aligned(64))) int behind_padding(void)
{
	return victim.timer;
}

static int (*volatile table[2])(void);

NOINLINE void handle(const char *cmd, char *out, int size)
{
	(void)cmd;
	if (!table[0])
		table[0] = zero, table[1] = one;
	nothing();
	if (behind_padding() < 0)
		return;
	reply("%d %d", table[0](), table[1]());
}
