// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static NOINLINE const char *resolve(const char *path)
{
	return path;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (strncmp(cmd, "path ", 5) == 0)
		reply("%s", resolve(cmd + 5));
}
