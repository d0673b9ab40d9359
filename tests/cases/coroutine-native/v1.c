// SPDX-License-Identifier: LGPL-2.1-or-later
#define VICTIM_OWN_MAIN
#include <ucontext.h>

#include "victim.h"

static ucontext_t outside, inside;
static char stack[1 << 18];
static volatile int value, which;

static NOINLINE const char *version(void)
{
	return which ? "" : "one";
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "leave"))
		swapcontext(&inside, &outside);
	reply("%d %s", value, version());
}

static NOINLINE void outer(void)
{
	swapcontext(&outside, &inside);
	value = 1;
}

int main(void)
{
	char text[32];

	victim_init();
	getcontext(&inside);
	inside.uc_stack.ss_sp = stack;
	inside.uc_stack.ss_size = sizeof(stack);
	makecontext(&inside, victim_loop, 0);
	victim_say("ready");
	outer();
	victim.n = 0; // from here on the thread's own stack
	snprintf(text, sizeof(text), "left %d", value);
	victim_say(text);
	victim_loop();
	printf("bye\n");
	return 0;
}
