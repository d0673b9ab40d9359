// SPDX-License-Identifier: LGPL-2.1-or-later
// Named fault points. MOLT_FAULT is a list of "name", where the tool fails with an error, and "kill:name",
// where it kills itself by SIGKILL, with commas between them. The names stand in one table in fault.c.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "util/error.h"

struct fault_info {
	const char *name;
	const char *meaning; // one line: what was done when the point is reached
};

// ERR_INTERNAL with code "fault" when the point is armed to fail. A name that is not in
// the table is an error by itself, so that the table stays complete.
struct err *fault_point(const char *name) must_check;
bool fault_armed(
	const char *name); // in either way; for code that would otherwise skip the point
// The whole table, for documentation and for tests that go through all points.
const struct fault_info *fault_list(size_t *n);
