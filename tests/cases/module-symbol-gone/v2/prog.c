// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

int two_a(void);

NOINLINE void handle(const char *cmd, char *out, int size)
{
	(void)cmd;
	reply("%d", two_a());
}
