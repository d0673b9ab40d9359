// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdlib.h>

#include "victim.h"

int zeros[64];
int counted, table[6] = {1, 2, 3, 4, 5, 6};
const char *const names[] = {"zero", "one", "two"};
const int limits[] = {10, 20};

static NOINLINE int less(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

int (*order)(const void *, const void *) = less;

NOINLINE int unchanged(int n)
{
	return (int)strlen(names[n % 3]) + limits[n % 2];
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int copy[6];

	memcpy(copy, table, sizeof(copy));
	qsort(copy, 6, sizeof(*copy), order);
	counted++;
	reply("one %d %s %d %d", copy[0], names[1], unchanged(counted), order == less);
}
