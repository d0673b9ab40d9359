// SPDX-License-Identifier: LGPL-2.1-or-later
#include <ctype.h>
#include <libgen.h>

#include "victim.h"

static NOINLINE void first_use(int n, char *out, int size)
{
	char path[] = "/a/b/x";

	reply("abs %d %ld up %c %s", abs(n), strtol("12", NULL, 10), toupper('a'), basename(path));
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n;

	if (sscanf(cmd, "get %d", &n) != 1)
		return;
	if (n == 1) {
		reply("none");
		return;
	}
	first_use(n, out, size);
}
