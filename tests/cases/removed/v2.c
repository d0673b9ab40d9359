// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n;

	if (sscanf(cmd, "sum %d", &n) == 1)
		reply("%d", n);
}
