// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

int a = 0;
int b = 9;
int c = 0;
int d = 8;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "set")) {
		c = 60;
		d = 70;
	}
	reply("a %d b %d c %d d %d", a, b, c, d);
}
