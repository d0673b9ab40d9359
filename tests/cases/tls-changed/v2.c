// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static __thread int count;
static __thread long more[8];

NOINLINE void handle(const char *cmd, char *out, int size)
{
	(void)cmd;
	more[count & 7]++;
	reply("%d", ++count);
}
