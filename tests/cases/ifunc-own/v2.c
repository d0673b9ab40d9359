// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static int chosen(void)
{
	return 101;
}

static int other(void)
{
	return 2;
}

static int (*resolve(void))(void)
{
	return sizeof(long) == 8 ? chosen : other;
}

int pick(void) __attribute__((ifunc("resolve")));

static int (*volatile stored)(void);

NOINLINE void handle(const char *cmd, char *out, int size)
{
	(void)cmd;
	if (!stored)
		stored = pick;
	reply("%d %s", pick(), stored() == pick() ? "same" : "differ");
}
