// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

// As an assertion that fails.
__attribute__((noreturn, used)) NOINLINE void fail(void)
{
	abort();
}

// `guarded` ends in a call that does not return, and `behind` starts right there. A clone for direct calls gets no
// entry jump, so an old body of `guarded` must not go on.
int guarded(int x);
int behind(void);
__asm__(".text\n"
	".globl guarded\n"
	".type guarded, @function\n"
	"guarded:\n"
	"	.cfi_startproc\n"
	"	sub $8, %rsp\n"
	"	.cfi_def_cfa_offset 16\n"
	"	test %edi, %edi\n"
	"	jz 1f\n"
	"	call fix.constprop.0\n"
	"	add $8, %rsp\n"
	"	.cfi_def_cfa_offset 8\n"
	"	ret\n"
	"1:	.cfi_def_cfa_offset 16\n"
	"	call fail\n"
	"	.cfi_endproc\n"
	".size guarded, .-guarded\n"
	".globl behind\n"
	".type behind, @function\n"
	"behind:\n"
	"	.cfi_startproc\n"
	"	mov $7, %eax\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size behind, .-behind\n"
	".type fix.constprop.0, @function\n"
	"fix.constprop.0:\n"
	"	.cfi_startproc\n"
	"	lea 0(%rdi), %eax\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size fix.constprop.0, .-fix.constprop.0\n");

// The entry, and no next one: as a return address at the end of a stack would look.
static struct item {
	const char *name;
	int (*call)(void);
	struct item *next;
	void *more[8];
} **table;

static void fill(void)
{
	table = calloc(16, sizeof(struct item *));
	for (int i = 0; i < 16; i++) {
		table[i] = calloc(1, sizeof(struct item));
		table[i]->name = "behind";
		table[i]->call = behind;
	}
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (!table)
		fill();
	if (is(cmd, "call"))
		reply("%d", table[3]->call());
	else
		reply("%d", guarded(atoi(cmd + 6)));
}
