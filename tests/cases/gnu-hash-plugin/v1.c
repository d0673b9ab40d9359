// SPDX-License-Identifier: LGPL-2.1-or-later
#include <dlfcn.h>

#include "victim.h"

typedef const char *(*func)(void);

static func before;

NOINLINE __attribute__((visibility("default"))) const char *exported(void)
{
	return victim.ticks < 0 ? "" : "one";
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	func f = (func)dlsym(RTLD_DEFAULT, "exported");

	if (!before)
		before = f;
	if (is(cmd, "call"))
		reply("%s", f());
	else
		reply("%s %d", f(), f == before && f == exported);
}
