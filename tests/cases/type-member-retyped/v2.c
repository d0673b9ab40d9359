// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

struct conf {
	int a;
	float ratio;
};

struct conf conf;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "get"))
		conf.ratio = 3;
	reply("%d", (int)conf.ratio + conf.a);
}
