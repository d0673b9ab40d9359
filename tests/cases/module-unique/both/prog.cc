// SPDX-License-Identifier: LGPL-2.1-or-later
#include <dlfcn.h>

#include "victim.h"

#include "one.h"

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "plug")) {
		void *lib = dlopen("./libplug.so", RTLD_NOW);
		int (*f)() = reinterpret_cast<int (*)()>(dlsym(lib, "plug_count"));

		reply("%d", f());
	} else {
		int n = one_count();

		reply("%d %s", n, one_name());
	}
}
