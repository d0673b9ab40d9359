// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

typedef const char *(*func)(void);

func table[2];
func *heap;

static NOINLINE const char *changed(void)
{
	return victim.ticks < 0 ? "" : "old";
}

static NOINLINE const char *caller(void)
{
	return changed();
}

NOINLINE const char *global(void)
{
	return "old";
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "store")) {
		free(heap);
		heap = (func *)malloc(sizeof(func));
		table[0] = changed;
		table[1] = caller;
		*heap = global;
		reply("stored");
	} else if (is(cmd, "equal")) {
		reply("%d %d %d", table[0] == changed, table[1] == caller, *heap == global);
	} else if (is(cmd, "call")) {
		reply("%s %s %s", table[0](), table[1](), (*heap)());
	}
}
