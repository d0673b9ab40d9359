// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

struct conf {
	char a;
	int b;
};

struct conf conf;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "get") && !conf.a) {
		conf.a = 1;
		conf.b = 2;
	}
	reply("a %d b %d", conf.a, conf.b);
}
