// SPDX-License-Identifier: LGPL-2.1-or-later
#define VICTIM_OWN_MAIN
#include "victim.h"

NOINLINE void handle(const char *cmd, char *out, int size)
{
	(void)cmd;
	reply("one");
}

int main(void)
{
	struct pollfd p[2] = { { 0, POLLIN, 0 }, { 0, POLLIN, 0 } };
	volatile int rounds = 0;

	victim_init();
	p[1].fd = victim.timer;
	victim_say("ready");
	for (;;) {
		uint64_t n;

		rounds++;
		poll(p, 2, -1);
		if (p[1].revents && read(victim.timer, &n, sizeof(n)) == (ssize_t)sizeof(n))
			victim.ticks += (long)n;
		if (p[0].revents && !victim_input())
			break;
	}
	printf("bye\n");
	return 0;
}
