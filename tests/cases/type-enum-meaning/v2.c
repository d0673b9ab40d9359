// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

enum fsync_policy {
	FSYNC_NO,
	FSYNC_SOMETIMES,
	FSYNC_EVERYSEC,
	FSYNC_ALWAYS,
};

struct server {
	enum fsync_policy fsync;
};

struct server server;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "get"))
		server.fsync = FSYNC_EVERYSEC;
	switch (server.fsync) {
	case FSYNC_NO: reply("no"); break;
	case FSYNC_EVERYSEC: reply("everysec"); break;
	case FSYNC_ALWAYS: reply("always"); break;
	default: reply("other"); break;
	}
}
