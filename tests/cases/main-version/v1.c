// SPDX-License-Identifier: LGPL-2.1-or-later
#define VICTIM_OWN_MAIN
#include "victim.h"

#define VERSION "1.6.18"

static char started[64];

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "version"))
		reply("prog " VERSION);
	else
		reply("%s", started);
}

static NOINLINE void note(const char *what, const char *version)
{
	snprintf(started, sizeof(started), "%s %s", what, version);
}

int main(int argc, char **argv)
{
	if (argc > 1 && is(argv[1], "-V")) {
		printf("prog " VERSION "\n");
		return 0;
	}
	note("start", VERSION);
	victim_init();
	victim_say("ready");
	victim_loop();
	note("end", VERSION);
	printf("%s", is(started, "end " VERSION) ? "bye\n" : "mixed\n");
	return 0;
}
