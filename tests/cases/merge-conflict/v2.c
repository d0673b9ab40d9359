// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

int limit = 20;
int timeout = 60;
char name[16] = "HOST";

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "set"))
		limit = 77;
	reply("limit %d timeout %d name %s", limit, timeout, name);
}
