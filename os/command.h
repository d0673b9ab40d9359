// SPDX-License-Identifier: LGPL-2.1-or-later
// Running another program with an end to it.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct os_command {
	const char *const *argv; // argv[0] is found by PATH; ends with NULL
	char *const *env;	 // NULL: that of the caller
	int timeout_ms;
	bool (*stop)(void); // asked now and then whether to give up; NULL: never
	char *out; // what it prints to its standard output as far as it fits, NUL-terminated; NULL: goes to standard error
	size_t size;
};

// Runs it in a process group of its own with nothing on its standard input. Gives the exit status (128 + signal when it
// was killed) or -errno: -ETIMEDOUT after timeout_ms, -EINTR once stop() is true; the whole group is killed then.
// What outlives it and holds its standard output is not waited for.
int os_run(const struct os_command *c);
