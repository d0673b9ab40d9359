// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>

#include "victim.h"

static jmp_buf top;
static int value;

static NOINLINE int slow(int ms)
{
	volatile int sum = 1;

	if (ms > 5)
		victim_say("inside");
	usleep((useconds_t)ms * 1000);
	value = sum + ms;
	longjmp(top, 1);
}

static NOINLINE int between(int ms)
{
	return slow(ms) + 1;
}

static NOINLINE void jump(int ms, char *out, int size)
{
	if (!setjmp(top))
		between(ms);
	else
		reply("left %d", value);
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	char text[64];
	int n;

	if (sscanf(cmd, "jump %d", &n) == 1) {
		jump(n, out, size);
	} else if (sscanf(cmd, "around %d", &n) == 1) {
		jump(n, text, sizeof(text));
		reply("around %s", text);
	}
}
