// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static int bad;

static NOINLINE __attribute__((cold)) void complain(int n)
{
	bad += n != 0;
}

static NOINLINE int check(int n, char *out, int size)
{
	if (__builtin_expect(n < 0, 0)) {
		complain(n);
		complain(0);
		reply("bad %d (%d)", n, bad);
		return 0;
	}
	reply("fine %d", n);
	return 1;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n;

	if (sscanf(cmd, "check %d", &n) == 1)
		check(n, out, size);
}
