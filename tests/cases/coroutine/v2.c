// SPDX-License-Identifier: LGPL-2.1-or-later
#include <ucontext.h>

#include "victim.h"

static ucontext_t outside, inside;
static char stack[65536];
static int value, stop;

static NOINLINE void yield(int n)
{
	value = n;
	swapcontext(&inside, &outside);
}

static NOINLINE void generate(void)
{
	for (int i = 1; !stop; i++)
		yield(i + 100);
	value = 0;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (!value) {
		stop = 0;
		getcontext(&inside);
		inside.uc_stack.ss_sp = stack;
		inside.uc_stack.ss_size = sizeof(stack);
		inside.uc_link = &outside;
		makecontext(&inside, generate, 0);
	}
	stop = is(cmd, "end");
	swapcontext(&outside, &inside);
	if (stop)
		reply("ended");
	else
		reply("%d", value);
}
