// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static long sum;

// As librseq has it: the descriptor lies in a section of its own and has no symbol. Nothing is registered, so that it
// is not looked at by the kernel.
static NOINLINE void add(long n)
{
	const void *volatile descriptor;

	__asm__ volatile(".pushsection __rseq_cs, \"aw\"\n\t"
			 ".balign 32\n"
			 "1:\t.long 0, 0\n\t"
			 ".quad 2f, 3f - 2f, 4f\n\t"
			 ".popsection\n\t"
			 "lea 1b(%%rip), %0\n"
			 "2:\tadd %2, %1\n"
			 "3:\tjmp 5f\n\t"
			 ".byte 0x0f, 0xb9, 0x3d\n\t"
			 ".long 0x53053053\n"
			 "4:\tjmp 2b\n"
			 "5:\n"
			 : "=&r"(descriptor), "+m"(sum)
			 : "r"(n)
			 : "cc", "memory");
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	long n = 0;

	sscanf(cmd, "add %ld", &n);
	add(n);
	reply("%ld", sum);
}
