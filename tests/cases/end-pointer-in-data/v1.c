// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

int values[5] = { 1, 2, 3, 4, 5 };
struct range {
	int *begin, *end;
} range = { values, values + 5 };

static NOINLINE int sum(const struct range *r)
{
	int s = 0, n = 0;

	for (int *p = r->begin; p != r->end && n < 100; p++, n++)
		s += *p;
	return s + n * 1000;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "add"))
		values[0]++;
	reply("%d", sum(&range));
}
