// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

int lib_count(void);
const char *lib_name(void);

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n = lib_count();

	(void)cmd;
	reply("old prog, %s %d", lib_name(), n);
}
