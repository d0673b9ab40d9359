// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static NOINLINE int next_d(void)
{
	static int counter = 50000;

	return ++counter;
}

static NOINLINE int next_c(void)
{
	static int counter = 1000;

	return ++counter;
}

static NOINLINE int next_a(void)
{
	static int counter;

	return ++counter;
}

static NOINLINE int next_b(void)
{
	static int counter = 100;

	return ++counter;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "a"))
		reply("%d", next_a());
	else if (is(cmd, "b"))
		reply("%d", next_b());
	else if (is(cmd, "c"))
		reply("%d", next_c());
	else if (is(cmd, "d"))
		reply("%d", next_d());
}
