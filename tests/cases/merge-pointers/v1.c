// SPDX-License-Identifier: LGPL-2.1-or-later
#include "victim.h"

static int first(void) { return 1; }
static int second(void) { return 2; }

char first_name[] = "first";
char second_name[] = "second";

char *volatile name = first_name;
int (*volatile run)(void) = first;
const char *volatile text = "one";
int (*volatile unused)(void) = second;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	(void)cmd;
	reply("%s %d %s", name, run(), text);
}
