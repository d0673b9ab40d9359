// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

int a_next(void);
int b_next(void);

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "a"))
		reply("a %d", a_next());
	else if (is(cmd, "b"))
		reply("b %d", b_next());
}
