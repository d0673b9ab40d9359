// SPDX-License-Identifier: GPL-2.0-or-later
// What the command does about signals and the standard descriptors, so that neither the terminal nor a parent
// process can end an update in the middle; see signals.h.
#include "cmd/signals.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "util/vec.h"

static const int ending[] = {SIGINT, SIGTERM, SIGHUP};
static const int stopping[] = {SIGTSTP, SIGTTIN, SIGTTOU};

static volatile sig_atomic_t came; // written by the handler

void signals_standard(void)
{
	// The other direction, so that use is an error as it would be without.
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 &&
		    open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd)
			_Exit(EXIT_FAILURE);
	signal(SIGCHLD, SIG_DFL);
}

static void note(int sig)
{
	came = sig;
}

void signals_catch(void)
{
	struct sigaction action = {.sa_handler = note,
				   .sa_flags = (int)(SA_RESETHAND | SA_RESTART)};
	struct sigaction before;
	sigset_t stops;

	for (size_t i = 0; i < ARRAY_SIZE(ending); i++)
		if (!sigaction(ending[i], NULL, &before) && before.sa_handler != SIG_IGN)
			sigaction(ending[i], &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); // memory files count as files
	// Stopped at the wrong moment molt would leave the process stopped with it.
	sigemptyset(&stops);
	for (size_t i = 0; i < ARRAY_SIZE(stopping); i++)
		sigaddset(&stops, stopping[i]);
	sigprocmask(SIG_BLOCK, &stops, NULL);
}

bool signals_came(void)
{
	return came;
}

void signals_pass_on(void)
{
	int sig = came;

	if (!sig)
		return;
	fflush(NULL);
	signal(sig, SIG_DFL);
	raise(sig);
}

bool signals_interrupted(void *unused)
{
	(void)unused;
	return signals_came();
}
