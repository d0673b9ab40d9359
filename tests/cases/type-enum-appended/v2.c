// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

enum fsync_policy {
	FSYNC_NO,
	FSYNC_EVERYSEC,
	FSYNC_ALWAYS,
	FSYNC_SMART,
};

enum fsync_policy policy;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "set"))
		policy = FSYNC_EVERYSEC;
	if (is(cmd, "new"))
		policy = FSYNC_SMART;
	switch (policy) {
	case FSYNC_NO: reply("no"); break;
	case FSYNC_EVERYSEC: reply("everysec"); break;
	case FSYNC_ALWAYS: reply("always"); break;
	case FSYNC_SMART: reply("smart"); break;
	default: reply("other"); break;
	}
}
