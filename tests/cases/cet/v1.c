// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static int (*volatile stored)(void);

NOINLINE int number(void)
{
	return 1 + (victim.ticks < 0);
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (!stored)
		stored = number;
	reply("%d %d", stored() + is(cmd, "x"), stored == number);
}
