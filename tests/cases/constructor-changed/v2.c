// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static volatile int ready;

__attribute__((constructor)) static void prepare(void)
{
	ready = 2;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	(void)cmd;
	reply("%d", ready);
}
