// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

enum resize { RESIZE_ENABLE, RESIZE_AVOID, RESIZE_FORBID };
enum resize can_resize = RESIZE_ENABLE;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	static int sets;

	if (is(cmd, "set")) {
		can_resize = sets++ ? RESIZE_FORBID : RESIZE_ENABLE;
	}
	if (is(cmd, "off"))
		can_resize = RESIZE_AVOID;
	reply("%d", (int)can_resize);
}
