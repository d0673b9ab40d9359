// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static int count;

static NOINLINE int check(const char *path)
{
	(void)path;
	for (const char *p = path; *p; p++)
		if (p[0] == '.' && p[1] == '.')
			return 1;
	return 0;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "count")) {
		reply("%d", count);
	} else if (strncmp(cmd, "check ", 6) == 0) {
		count++;
		reply("%d", check(cmd + 6));
	}
}
