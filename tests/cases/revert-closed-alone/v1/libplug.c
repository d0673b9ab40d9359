// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdio.h>

extern int host_call(void);

static char text[64];
const char *plug_name = "one";

__attribute__((noinline)) int plug_step(int x)
{
	return x + 1;
}

const char *plug_run(int x)
{
	snprintf(text, sizeof(text), "%s %d host %d", plug_name, plug_step(x), host_call());
	return text;
}

static __attribute__((destructor)) void plug_end(void)
{
	text[0] = 0;
}
