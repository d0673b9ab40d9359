// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

const char *hook_run(int x);

NOINLINE __attribute__((visibility("default"))) const char *hook_name(void)
{
	return "prog";
}

NOINLINE __attribute__((visibility("default"))) const char *hook_late(void)
{
	return "late prog";
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	reply("%s", hook_run(atoi(cmd + 3)));
}
