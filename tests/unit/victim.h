// SPDX-License-Identifier: LGPL-2.1-or-later
// Starting and ending the self-checking programs of tests/victims.
#pragma once

#include <sys/types.h>

struct victim {
	pid_t pid;
	int in, out; // its standard input and output
};

// Starts VICTIM_DIR/victim_NAME and waits until it prints "ready".
struct victim victim_start(const char *name);
struct victim victim_start_arg(const char *name, const char *arg);
// Ends its input and gives its exit status: 0 when it saw nothing wrong, -SIG when a signal ended it, -1000
// when it did not end within ten seconds (it is killed then).
int victim_end(struct victim *v);
void victim_kill(struct victim *v);
// Waits for one line of output; false at its end.
int victim_line(struct victim *v, char *buf, size_t size);
