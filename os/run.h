// SPDX-License-Identifier: LGPL-2.1-or-later
// Running another program for its answer.
#pragma once

#include <stddef.h>

// Runs argv[0], found by PATH, and gives what it prints to its standard output as far as it fits (NUL-terminated)
// and its wait status. 0 or -errno.
int os_run(const char *const argv[], char *out, size_t size, int *status);
