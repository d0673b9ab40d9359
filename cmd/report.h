// SPDX-License-Identifier: GPL-2.0-or-later
// How a verb shows reports of updates: text, or one JSON object.
#pragma once

#include "cmd/cmd.h"

// One report, which with `tree` has one for each of its processes. Returns the exit code.
int report_print(const struct verb *verb, bool json, bool tree,
		 const struct molt_report *r);

// Why it is not done, with its code, to standard error. Returns the exit code.
int report_print_failure(const struct molt_report *r);

// The sum of several, each of which was printed already unless it is JSON. Returns the worst exit code.
int reports_print(const struct verb *verb, bool json, bool tree,
		  struct molt_report *const *r, size_t n);
int reports_verdict(struct molt_report *const *r, size_t n);
