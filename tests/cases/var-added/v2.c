// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static int hits;
static int limit = 3;
static int over;
static char last[64];

NOINLINE void handle(const char *cmd, char *out, int size)
{
	(void)cmd;
	hits++;
	if (hits > limit)
		snprintf(last, sizeof(last), "over %d", ++over);
	else
		snprintf(last, sizeof(last), "limit %d", limit);
	reply("%d %s", hits, last);
}
