// SPDX-License-Identifier: LGPL-2.1-or-later
// Becomes a library of the victim: molt refuses programs that have restartable sequences of their own, and
// here threads are inside one while their callers move.
#include <sys/rseq.h>

// Each processor has two counters that only restartable sequences change, and which are equal outside of them.
struct counters {
	volatile long first, second;
	char far[112];
} counters[256];

// Copies the first counter, takes its time, and writes copy + 1: without abort two threads of one processor
// would lose counts. 1: done.
int add_one(long spin)
{
	struct rseq *r = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
	unsigned cpu = r->cpu_id_start;
	struct counters *c = &counters[cpu];
	long copy, left = spin;

	__asm__ goto volatile(
		".pushsection __rseq_cs, \"aw\"\n"
		".balign 32\n"
		"3: .long 0, 0\n"
		".quad 1f, 2f - 1f, 4f\n"
		".popsection\n"
		"lea 3b(%%rip), %%rax\n"
		"mov %%rax, 8(%[r])\n"
		"1: cmp %[cpu], 4(%[r])\n"
		"jnz 4f\n"
		"mov (%[c]), %[copy]\n"
		"inc %[copy]\n"
		"5: dec %[left]\n"
		"jnz 5b\n"
		"mov %[copy], 8(%[c])\n"
		"mov %[copy], (%[c])\n"
		"2: jmp %l[done]\n"
		".byte 0x0f, 0xb9, 0x3d\n"
		".long 0x53053053\n"
		"4: jmp %l[abort]\n"
		: [copy] "=&r"(copy), [left] "+&r"(left)
		: [r] "r"(r), [cpu] "r"(cpu), [c] "r"(c)
		: "rax", "memory", "cc"
		: done, abort);
done:
	return 1;
abort:
	return 0;
}
