// SPDX-License-Identifier: LGPL-2.1-or-later
#include <sys/mman.h>

#include "victim.h"

enum { BALLAST = 100 << 20 };

static struct task {
	void *sp, *caller;
	int value;
} *task;

// Saves the registers a call must keep on the stack in use, goes on with those on the other one.
void switch_stack(void **save, void *load);
__asm__(".text\n"
	".globl switch_stack\n"
	".type switch_stack, @function\n"
	"switch_stack:\n"
	"	push %rbp\n"
	"	push %rbx\n"
	"	push %r12\n"
	"	push %r13\n"
	"	push %r14\n"
	"	push %r15\n"
	"	mov %rsp, (%rdi)\n"
	"	mov %rsi, %rsp\n"
	"	pop %r15\n"
	"	pop %r14\n"
	"	pop %r13\n"
	"	pop %r12\n"
	"	pop %rbx\n"
	"	pop %rbp\n"
	"	ret\n"
	".size switch_stack, .-switch_stack\n");

static NOINLINE void yield(int n)
{
	task->value = n;
	switch_stack(&task->sp, task->caller);
}

static NOINLINE void generate(void)
{
	for (int i = 1;; i++)
		yield(i);
}

static NOINLINE const char *version(void)
{
	return "one";
}

static NOINLINE void start(void)
{
	size_t size = 1 << 16;
	void **top = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	task = calloc(1, sizeof(*task));
	top += size / sizeof(*top) - 2;
	*top = NULL; // generate has no caller
	*--top = (void *)generate;
	task->sp = top - 6;
	memset(malloc(BALLAST), 1, BALLAST);
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (!task)
		start();
	if (is(cmd, "version")) {
		reply("%s", version());
		return;
	}
	switch_stack(&task->caller, task->sp);
	reply("%d", task->value);
}
