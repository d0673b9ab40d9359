// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

struct server {
	long id;
	int aof;
	int port;
	int spare;
};

struct server server = { .aof = 1, .port = 6379 };

NOINLINE void handle(const char *cmd, char *out, int size)
{
	server.id += is(cmd, "get");
	reply("aof %d port %d", server.aof, server.port);
}
