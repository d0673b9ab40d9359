// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

#include "shape.h"

static shape_func known;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (!known)
		known = shape_get();
	if (is(cmd, "pointer"))
		reply("%d", known == shape_get() && known == shape_area);
	else
		{
		int area = known(atoi(cmd + 5));

		reply("%d calls %d unit %s", area, shape_calls, shape_unit());
	}
}
