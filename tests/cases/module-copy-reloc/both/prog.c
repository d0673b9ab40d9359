// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

extern int conf_limit, conf_level;
int lib_limit(void);
int lib_level(void);
int *lib_level_address(void);
extern int *const lib_level_pointer;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "same")) {
		reply("%d %d", lib_level_address() == &conf_level, lib_level_pointer == &conf_level);
		return;
	}
	if (!strncmp(cmd, "set ", 4))
		conf_level = atoi(cmd + 4);
	reply("limit %d %d, level %d %d", conf_limit, lib_limit(), conf_level, lib_level());
}
