// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static NOINLINE int pad(int n)
{
	return n * 3 + 1;
}

static NOINLINE const char *day(int n)
{
	switch (n) {
	case 0: return victim.ticks < 0 ? "?" : "sun";
	case 1: victim.eintr += 0; return "mon";
	case 2: return strchr("xtue", 't');
	case 3: return strchr("yywed", 'w');
	case 4: puts("four"); return "thu";
	case 5: return "fri" + (victim.ticks < 0);
	case 6: return "sat";
	default: return "?";
	}
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n;

	if (sscanf(cmd, "day %d", &n) == 1)
		reply("%s!", day(pad(n) / 3));
}
