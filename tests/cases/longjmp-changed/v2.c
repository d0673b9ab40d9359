// SPDX-License-Identifier: LGPL-2.1-or-later
#define VICTIM_OWN_MAIN
#include <setjmp.h>

#include "victim.h"

static jmp_buf top;
static int value;

static NOINLINE void deep(int n)
{
	value = n;
	longjmp(top, 1);
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n;

	if (sscanf(cmd, "jump %d", &n) == 1) {
		victim.n = 0;
		deep(n);
	}
	reply("?");
}

int main(void)
{
	victim_init();
	victim_say("ready");
	if (setjmp(top)) {
		char text[40];

		snprintf(text, sizeof(text), "BACK %d", value);
		victim_say(text);
	}
	victim_loop();
	printf("bye\n");
	return 0;
}
