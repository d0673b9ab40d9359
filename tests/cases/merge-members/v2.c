// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

struct conf {
	unsigned short port;
	unsigned short backlog;
	char host[10];
	double ratio;
};

struct conf conf = { 80, 511, "local", 0.75 };

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "set"))
		conf.port = 9999;
	reply("port %d backlog %d host %s ratio %g", conf.port, conf.backlog, conf.host, conf.ratio);
}
