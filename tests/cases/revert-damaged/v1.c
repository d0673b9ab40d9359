// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static int n;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	(void)cmd;
	reply("one %d", ++n);
}
