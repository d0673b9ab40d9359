// SPDX-License-Identifier: LGPL-2.1-or-later
#include <sys/mman.h>

#include "victim.h"

enum { MAPPINGS = 10000, PAGE = 4096 };

static char *area;

// Neighbours with different protections stay mappings of their own.
static NOINLINE void make(void)
{
	area = mmap(NULL, MAPPINGS * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < MAPPINGS; i++)
		area[i * PAGE] = 1;
	for (int i = 0; i < MAPPINGS; i += 2)
		mprotect(area + i * PAGE, PAGE, PROT_READ);
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n = 0;

	(void)cmd;
	if (!area)
		make();
	for (int i = 0; i < MAPPINGS; i++)
		n += area[i * PAGE];
	reply("two %d", n);
}
