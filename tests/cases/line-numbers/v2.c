// SPDX-License-Identifier: LGPL-2.1-or-later
#include <assert.h>

#include "victim.h"

/*
 * A comment of three lines.
 */
static NOINLINE int safe(int n)
{
	assert(n >= 0 && n < 100);
	return n;
}

static NOINLINE int line(void)
{
	victim.eintr += 0;
	return __LINE__;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n;

	if (sscanf(cmd, "safe %d", &n) == 1)
		reply("%d", safe(n));
	else
		reply("%d", line());
}
