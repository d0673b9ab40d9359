// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

int a = 5;
int b = 0;
int c = 6;
int d = 0;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "set")) {
		c = 60;
		d = 70;
	}
	reply("a %d b %d c %d d %d", a, b, c, d);
}
