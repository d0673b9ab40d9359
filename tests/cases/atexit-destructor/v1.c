// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

#define WHO "old"

static int registered;

static NOINLINE void at_end(void)
{
	victim_say("handler " WHO);
	registered += 5;
}

__attribute__((destructor)) static void destroyed(void)
{
	victim_say("destructor " WHO);
	_exit(registered + 1);
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (!registered) {
		registered = 1;
		atexit(at_end);
	}
	if (is(cmd, "end"))
		exit(0);
	reply("%d", registered - 1);
}
