// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

const char *in_data;
const char **in_heap;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (!in_heap)
		in_heap = (const char **)calloc(1, sizeof(*in_heap));
	if (is(cmd, "set")) {
		in_data = "alpha";
		*in_heap = "beta";
	}
	reply("%s %s", in_data, *in_heap);
}
