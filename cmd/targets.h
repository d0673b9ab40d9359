// SPDX-License-Identifier: GPL-2.0-or-later
// Which processes a verb is about: PID, --exe PATH or --unit NAME.
#pragma once

#include <sys/types.h>

#include "cmd/cmd.h"
#include "util/vec.h"

struct targets {
	const char *exe, *unit;
	VEC(pid_t) pids; // filled by targets_find, as is:
	bool library;	 // --exe names a library that they map
};

#define TARGET_OPTIONS                                    \
	{"exe", required_argument, NULL, OPT_EXE},        \
	{                                                 \
		"unit", required_argument, NULL, OPT_UNIT \
	}

#define TARGET_HELP                                                             \
	"      --exe PATH       instead of PID: every process that runs PATH\n" \
	"      --unit NAME      instead of PID: the main process of a systemd unit\n"

// Takes an option of TARGET_OPTIONS; false: it is none.
bool targets_option(struct targets *t, int option, const char *argument);
// Whether one process is meant by nature.
static inline bool targets_one(const struct targets *t)
{
	return !t->exe;
}
// Finds them; `argument` is the pid where neither option was given. With `tree` only those that are not descendants
// of others.
struct err *targets_find(struct targets *t, const char *argument, bool tree) must_check;
void targets_deinit(struct targets *t);
