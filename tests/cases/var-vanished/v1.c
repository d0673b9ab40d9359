// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static int hits;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "hit"))
		reply("%d", ++hits);
}
