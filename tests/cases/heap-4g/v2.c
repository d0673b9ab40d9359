// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

enum { BLOCKS = 1024 };
static const size_t block_size = 4 << 20;
static char *blocks[BLOCKS];

static NOINLINE void fill(void)
{
	for (int i = 0; i < BLOCKS; i++) {
		blocks[i] = malloc(block_size);
		memset(blocks[i], i | 1, block_size);
	}
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n = 0;

	(void)cmd;
	if (!blocks[0])
		fill();
	for (int i = 0; i < BLOCKS; i++)
		n += blocks[i][block_size - 1] == (char)(i | 1);
	reply("two %d", n);
}
