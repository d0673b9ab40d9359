// SPDX-License-Identifier: LGPL-2.1-or-later
#include <signal.h>

#include "victim.h"

static volatile sig_atomic_t seen;

static void on_signal(int sig)
{
	(void)sig;
	seen += 1;
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "install"))
		signal(SIGUSR1, on_signal);
	reply("%d", (int)seen);
}
