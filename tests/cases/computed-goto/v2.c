// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static NOINLINE int run(const char *code)
{
	static const void *const ops[] = { &&inc, &&dec, &&stop,
		&&times,
	};
	static const char names[] = "id.x";
	int acc = 0;
	const char *at;

next:
	at = *code ? strchr(names, *code++) : names + 2;
	if (!at)
		return -1;
	goto *ops[at - names];
inc:
	acc++;
	goto next;
dec:
	acc--;
	goto next;
times:
	acc *= 10;
	goto next;
stop:
	return acc;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (strncmp(cmd, "run ", 4) == 0)
		reply("%d", run(cmd + 4));
}
