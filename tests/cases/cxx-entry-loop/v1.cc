// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static int left;

static NOINLINE void step()
{
	if (!left--)
		throw 7;
}

// Its loop leads back into the first bytes, where the jump to the new body would stand.
static NOINLINE void loop()
{
	for (;;)
		step();
}

static void (*volatile run)() = loop;

extern "C" NOINLINE void handle(const char *cmd, char *out, int size)
{
	sscanf(cmd, "run %d", &left);
	try {
		run();
	} catch (int got) {
		reply("one %d", got);
	}
}
