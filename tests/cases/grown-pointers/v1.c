// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static volatile int guard_before = 1;
char *tab[5] = { "a", "b", "c", "d", "e" };
static volatile int guard_after = 2;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	(void)cmd;
	char all[64] = "";

	for (int i = 0; i < (int)(sizeof(tab) / sizeof(tab[0])); i++)
		strcat(all, tab[i] ? tab[i] : "-");
	reply("%s %d", all, guard_before + guard_after);
}
