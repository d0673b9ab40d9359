// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static const char *get(void)
{
	return "got it";
}

static const char *set(void)
{
	return "set";
}

static const char *remove_it(void)
{
	return "gone";
}

static const struct {
	const char *name;
	const char *(*run)(void);
} commands[] = {
	{ "get", get },
	{ "set", set },
	{ "del", remove_it },
};

NOINLINE void handle(const char *cmd, char *out, int size)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strncmp(cmd, "run ", 4) == 0 && is(cmd + 4, commands[i].name))
			reply("%s", commands[i].run());
}
