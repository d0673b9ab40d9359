// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static inline __attribute__((always_inline)) int next(void)
{
	static int n;

	return ++n;
}

static NOINLINE void a(char *out, int size)
{
	reply("A %d", next());
}

static NOINLINE void b(char *out, int size)
{
	reply("B %d", next());
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "a"))
		a(out, size);
	else
		b(out, size);
}
