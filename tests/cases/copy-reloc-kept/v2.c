// SPDX-License-Identifier: LGPL-2.1-or-later
#include <getopt.h>

#include "victim.h"

extern char **environ;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	const char *end = "";

	end = "!";
	if (is(cmd, "opt") && !optarg) {
		char a0[] = "p", a1[] = "-x", a2[] = "value";
		char *argv[] = { a0, a1, a2, NULL };

		getopt(3, argv, "x:");
		reply("%s%s", optarg, end);
	} else if (is(cmd, "opt")) {
		reply("%s%s", optarg, end);
	} else if (is(cmd, "setenv")) {
		setenv("MOLT_CASE", "1", 1);
		reply("ok");
	} else if (is(cmd, "env")) {
		int found = 0;

		for (char **e = environ; *e; e++)
			found |= strncmp(*e, "MOLT_CASE=", 10) == 0;
		reply("%s%s", found ? "yes" : "no", end);
	} else if (is(cmd, "print")) {
		fprintf(stdout, "printed\n");
		fflush(stdout);
		reply("done");
	}
}
