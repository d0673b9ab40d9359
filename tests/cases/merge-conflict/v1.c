// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

int limit = 10;
int timeout = 30;
char name[16] = "host";

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "set"))
		limit = 77;
	reply("limit %d timeout %d name %s", limit, timeout, name);
}
