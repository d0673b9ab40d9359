// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

struct box {
	int w, h;
};

static NOINLINE int area(struct box b)
{
	return b.w * b.h;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int w, h;

	if (sscanf(cmd, "area %d %d", &w, &h) == 2) {
		struct box b = { w, h };

		reply("%d", area(b));
	}
}
