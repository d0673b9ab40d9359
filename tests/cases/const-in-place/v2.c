// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

struct limits {
	int max;
	char text[8];
};

const struct limits limits = { 200, "again" };
static const struct limits *volatile stored;
static const struct limits *volatile direct;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	direct = &limits;
	if (is(cmd, "store"))
		stored = &limits;
	if (is(cmd, "direct"))
		reply("%d %s", direct->max, direct->text);
	else
		reply("%d %s", stored->max, stored->text);
}
