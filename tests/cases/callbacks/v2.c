// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

typedef int (*compare)(const void *, const void *);

static compare *stored;

static int by_value(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (y > x) - (y < x);
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int v[5] = { 3, 1, 5, 2, 4 };

	if (!stored) {
		stored = (compare *)malloc(sizeof(*stored));
		*stored = by_value;
	}
	qsort(v, 5, sizeof(v[0]), is(cmd, "stored") ? *stored : by_value);
	reply("%d %d %d %d %d", v[0], v[1], v[2], v[3], v[4]);
}
