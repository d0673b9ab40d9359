// SPDX-License-Identifier: LGPL-2.1-or-later
#include <ucontext.h>

#include "victim.h"

static ucontext_t outside, inside;
static char stack[65536];
static int value;
static volatile int base;

static NOINLINE int number(int n)
{
	return base + n;
}

static NOINLINE void yield(void)
{
	swapcontext(&inside, &outside);
}

static NOINLINE void generate(void)
{
	for (int i = 1;; i++) {
		value = number(i);
		yield();
	}
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (!value) {
		getcontext(&inside);
		inside.uc_stack.ss_sp = stack;
		inside.uc_stack.ss_size = sizeof(stack);
		makecontext(&inside, generate, 0);
	}
	if (is(cmd, "next"))
		swapcontext(&outside, &inside);
	reply("%d", value);
}
