// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

struct ctx {
	long base;
	int n;
	int sum;
};

static NOINLINE void add(struct ctx *c)
{
	for (int i = 1; i <= c->n; i++)
		c->sum += i;
	c->sum += (int)c->base;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	struct ctx c = { 0 };

	c.base = 100;
	if (sscanf(cmd, "sum %d", &c.n) == 1) {
		add(&c);
		reply("%d", c.sum);
	}
}
