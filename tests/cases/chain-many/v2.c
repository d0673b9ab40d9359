// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

#define N 2
#define EXTRA(n) static volatile char extra##n[n + 8] = "x";
#define V(n) int v##n = n; EXTRA(n)
#define F(n) static NOINLINE int f##n(void) { return v##n * N + (victim.ticks < 0); }
#define ALL(x) x(0) x(1) x(2) x(3) x(4) x(5) x(6) x(7) x(8) x(9) x(10) x(11) x(12) x(13) x(14) x(15) x(16) \
	x(17) x(18) x(19)
#define CALL(n) +f##n()
#define EXTRA_CALL(n) +(extra##n[0] == (char)120 ? (n == 7) * 10 : 0)

ALL(V)
ALL(F)
static int calls;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	(void)cmd;
	reply("%d %d", 0 ALL(CALL) ALL(EXTRA_CALL), ++calls);
}
