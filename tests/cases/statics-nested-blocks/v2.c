// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static NOINLINE int step(int left)
{
	if (left) {
		static int n = 0;

		return ++n;
	} else {
		static int n = 500;

		return ++n;
	}
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	reply("%d!", step(is(cmd, "left")));
}
