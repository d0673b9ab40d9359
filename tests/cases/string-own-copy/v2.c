// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

char *logfile = "/var/log/b.log";

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "set")) {
		logfile = strdup("/var/log/a.log");
		reply("set");
	} else if (is(cmd, "free")) {
		free(logfile);
		logfile = strdup("later");
		reply("freed");
	} else {
		reply("%s%s", logfile, "!");
	}
}
