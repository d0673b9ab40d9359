// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

#define N 64

static volatile int guard_before = 1;
int slots[N] = { 5 };
static volatile int guard_after = 2;
static volatile unsigned long *cursor; // hides a pointer: one bit is added to it

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "init")) {
		cursor = (volatile unsigned long *)malloc(sizeof(*cursor));
		*cursor = (unsigned long)&slots[0];
		((volatile int *)*cursor)[0] += guard_before - 1;
	}
	reply("%d", ((volatile int *)*cursor)[0] + guard_after - 2);
	if (N == 64 && slots[N - 1])
		reply("?");
}
