// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static const struct {
	const char *name;
	int code;
} commands[] = {
	{ "get", 1 },
	{ "set", 2 },
};

static NOINLINE int find(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (is(name, commands[i].name))
			return commands[i].code;
	return -1;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (strncmp(cmd, "run ", 4) == 0)
		reply("%d", find(cmd + 4));
}
