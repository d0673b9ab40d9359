// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

int lib_count(void);
int lib_added(int x);
int lib_peak(void);
const char *lib_name(void);

NOINLINE void handle(const char *cmd, char *out, int size)
{
	int n = lib_count();

	(void)cmd;
	reply("new prog, %s %d, added %d, peak %d", lib_name(), n, lib_added(40), lib_peak());
}
