// SPDX-License-Identifier: LGPL-2.1-or-later
#include <math.h>

#include "victim.h"

NOINLINE void handle(const char *cmd, char *out, int size)
{
	double x;

	if (sscanf(cmd, "cos %lf", &x) == 1)
		reply("%g", cos(x));
}
