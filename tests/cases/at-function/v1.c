// SPDX-License-Identifier: LGPL-2.1-or-later
#define VICTIM_OWN_MAIN
#include "victim.h"

static int n;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	(void)cmd;
	reply("one %d", ++n);
}

static NOINLINE int tick(struct pollfd *p)
{
	uint64_t times;

	if (poll(p, 2, -1) < 0)
		victim.eintr++;
	else if (p[1].revents && read(victim.timer, &times, sizeof(times)) == (ssize_t)sizeof(times))
		victim.ticks += (long)times;
	return p[0].revents;
}

int main(void)
{
	struct pollfd p[2] = { { 0, POLLIN, 0 }, { 0, POLLIN, 0 } };

	victim_init();
	p[1].fd = victim.timer;
	victim_say("ready");
	for (;;)
		if (tick(p) && !victim_input())
			break;
	printf("bye\n");
	return 0;
}
