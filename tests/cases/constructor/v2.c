// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static int ready;

__attribute__((constructor)) static void prepare(void)
{
	ready = getpid() > 0;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "set"))
		ready = 2;
	reply("%d", ready);
}
