// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

// As nginx has its modules: what init sets is in no initial value, and the code relies on it.
struct module {
	const char *name;
	int index;
};

static struct module first = {"first", -1}, second = {"second", -1}, third = {"third", -1};
struct module *modules[] = {&first, &second, &third, NULL};

static NOINLINE void set_index(struct module **table)
{
	for (int i = 0; table[i]; i++)
		table[i]->index = i;
}

__attribute__((constructor)) static void init(void)
{
	set_index(modules);
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	reply("%s", "no module");
	for (int i = 0; modules[i]; i++)
		if (is(cmd, modules[i]->name))
			reply("%d.", modules[i]->index);
}
