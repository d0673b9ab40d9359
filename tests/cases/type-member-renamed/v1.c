// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

struct conf {
	int a;
	int timeout;
};

struct conf conf;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (!conf.timeout)
		conf.timeout = 3;
	reply("%d", conf.timeout + is(cmd, "x"));
}
