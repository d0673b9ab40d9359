// SPDX-License-Identifier: LGPL-2.1-or-later
#include <getopt.h>

#include "victim.h"

NOINLINE void handle(const char *cmd, char *out, int size)
{
	(void)cmd;
	reply("%s", optarg ? optarg : "none");
}
