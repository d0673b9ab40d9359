// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

#define VERSION 10250
#define M { 0, VERSION, "name", { 1, 2, 3 } }
#define M10 M, M, M, M, M, M, M, M, M, M

struct module {
	int index;
	int version;
	const char *name;
	int spare[3];
};

struct module modules[50] = { M10, M10, M10, M10, M10 };

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n, wrong = 0;

	for (n = 0; n < 50; n++) {
		modules[n].index = n;
		wrong += modules[n].version != VERSION;
	}
	if (is(cmd, "wrong")) {
		reply("%d", wrong);
		return;
	}
	if (sscanf(cmd, "touch %d", &n) == 1)
		modules[n].name = "touched";
	else if (sscanf(cmd, "show %d", &n) != 1)
		return;
	reply("%d: %d %s", n, modules[n].version, modules[n].name);
}
