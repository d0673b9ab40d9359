// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

#define KEY 7

static NOINLINE int matches(int key)
{
	return key == KEY;
}

static NOINLINE void pair(int ms, char *out, int size)
{
	volatile int key = KEY;

	if (ms != 10)
		victim_say("inside");
	usleep((useconds_t)ms * 1000);
	reply("%s %d", matches(key) ? "agree" : "disagree", key);
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n;

	if (sscanf(cmd, "pair %d", &n) == 1)
		pair(n, out, size);
}
