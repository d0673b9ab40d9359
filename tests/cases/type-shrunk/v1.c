// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

struct conf {
	long used;
	long limit;
};

struct conf confs[3] = { { .used = 7 }, { .used = 8 }, { .used = 9 } };

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int i = is(cmd, "other");

	confs[i].used += is(cmd, "more");
	reply("%ld", confs[i].used);
}
