// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static long total_hits;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "hit"))
		reply("%ld", ++total_hits);
}
