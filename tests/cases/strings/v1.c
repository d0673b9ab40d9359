// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

NOINLINE const char *version(void)
{
	return "server 1.6.36";
}

NOINLINE const char *suffix(void)
{
	return "1.6.36";
}

NOINLINE const char *text(void)
{
	return "1.6.36-short";
}

NOINLINE const char *same(void)
{
	return "unchanged text";
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "v"))
		reply("%s", version());
	else if (is(cmd, "suffix"))
		reply("%s", suffix());
	else if (is(cmd, "long"))
		reply("%s", text());
	else if (is(cmd, "same"))
		reply("%s", same());
}
