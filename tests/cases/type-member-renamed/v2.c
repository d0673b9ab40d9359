// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

struct conf {
	int a;
	int timeout_ms;
};

struct conf conf;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (!conf.timeout_ms)
		conf.timeout_ms = 4;
	reply("%d", conf.timeout_ms + 100 + is(cmd, "x"));
}
