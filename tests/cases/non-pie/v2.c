// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

NOINLINE void handle(const char *cmd, char *out, int size)
{
	(void)cmd;
	reply("2");
}
