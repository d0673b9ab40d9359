// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

int table[4] = { 1, 2, 3, 4 };
int neighbour[4] = { 1000, 1000, 1000, 1000 };
static const int ctable[3] = { 10, 20, 30 };
static const int cneighbour[3] = { 7000, 7000, 7000 };

static NOINLINE int sum(void)
{
	int s = 0;

	for (int *p = table; p != &table[4]; p++)
		s += *p;
	return s;
}

static NOINLINE int csum(const int *from, const int *end)
{
	int s = 0;

	for (const int *p = from; p != end; p++)
		s += *p;
	return s;
}

static NOINLINE void bump(void)
{
	for (int *p = table; p != &table[4]; p++)
		*p += 1;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "sum"))
		reply("%d", sum());
	else if (is(cmd, "csum"))
		reply("%d", csum(ctable, &ctable[3]));
	else if (is(cmd, "other"))
		reply("%d", csum(cneighbour, &cneighbour[3]));
	else if (is(cmd, "neighbour"))
		reply("%d", neighbour[0]);
	else if (is(cmd, "bump")) {
		bump();
		reply("%d", sum());
	}
}
