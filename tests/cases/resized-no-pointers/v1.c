// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

#define N 8

static volatile int guard_before = 1;
int slots[N] = { 5 };
static volatile int guard_after = 2;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int i, v;

	if (sscanf(cmd, "set %d %d", &i, &v) == 2 && i >= 0 && i < N) {
		slots[i] = v;
		reply("ok");
	} else if (sscanf(cmd, "get %d", &i) == 1 && i >= 0 && i < N) {
		reply("%d", slots[i]);
	} else {
		reply("%d %d", guard_before, guard_after);
	}
}
