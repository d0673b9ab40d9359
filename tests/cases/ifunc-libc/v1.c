// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static size_t (*volatile measure)(const char *);

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "pointer")) {
		reply("%zu", measure("abc"));
		return;
	}
	reply("none");
}
