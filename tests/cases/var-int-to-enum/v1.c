// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

int can_resize = 1;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	static int sets;

	if (is(cmd, "set")) {
		can_resize = sets++ ? 1 : 0;
		can_resize = !can_resize;
	}
	if (is(cmd, "off"))
		can_resize = 2;
	reply("%d", (int)can_resize);
}
