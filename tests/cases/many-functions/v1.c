// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

#define F(n) static NOINLINE int f##n(int x) { return x + n + (victim.ticks < 0); }
#define F10(n) F(n##0) F(n##1) F(n##2) F(n##3) F(n##4) F(n##5) F(n##6) F(n##7) F(n##8) F(n##9)
#define G(n) f##n,
#define G10(n) G(n##0) G(n##1) G(n##2) G(n##3) G(n##4) G(n##5) G(n##6) G(n##7) G(n##8) G(n##9)
#define ALL(x) x(1) x(2) x(3) x(4) x(5) x(6) x(7) x(8) x(9) x(10) x(11) x(12) x(13) x(14) x(15) x(16) \
	x(17) x(18) x(19)

F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9)
ALL(F10)

static int (*const table[])(int) = { G(0) G(1) G(2) G(3) G(4) G(5) G(6) G(7) G(8) G(9) ALL(G10) };

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n, sum = 0;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		sum += table[i](0);
	if (sscanf(cmd, "one %d", &n) == 1)
		reply("%d", table[n](0));
	else
		reply("%d", sum);
}
