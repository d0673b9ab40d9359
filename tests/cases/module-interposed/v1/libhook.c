// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdio.h>

const char *hook_name(void)
{
	return "lib";
}

const char *hook_late(void)
{
	return "late lib";
}

int hook_own(int x)
{
	return x + 1;
}

const char *hook_run(int x)
{
	static char text[64];

	snprintf(text, sizeof(text), "v1 %s hook %d, own %d", hook_name(), x, hook_own(x));
	return text;
}
