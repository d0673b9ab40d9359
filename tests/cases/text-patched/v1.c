// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static int n;

NOINLINE void never_called(void)
{
	victim.ticks = -1;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "never"))
		never_called();
	reply("one %d", ++n);
}
