// SPDX-License-Identifier: LGPL-2.1-or-later
// Running a shell command with an end to it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// Runs `sh -c COMMAND` with this environment in a process group of its own, standard input empty and standard output
// on standard error. Gives the exit status (128 + signal when it was killed) or -errno: -ETIMEDOUT after
// timeout_ms, -EINTR once stop() is true; the whole group is killed then.
int os_run_command(const char *command, char *const env[], int timeout_ms,
		   bool (*stop)(void));
