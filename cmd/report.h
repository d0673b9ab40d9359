// SPDX-License-Identifier: GPL-2.0-or-later
// How a verb shows reports of updates: text, or one JSON object.
#pragma once

#include <stdio.h>

#include "cmd/cmd.h"

// One report, which with `tree` has one for each of its processes. Returns the exit code.
int report_print(const struct verb *verb, bool json, bool tree,
		 const struct molt_report *r);

// What every report has: verdict, code, reason, object, pid, comm, generation, total_ms, notes.
void report_members(json_t *o, const struct molt_report *r);

// Prints it. Returns the exit code: what a verb has done stays done when there is no memory to tell of it.
int report_print_json(const struct verb *verb, json_t *o, int code);

void report_print_notes(FILE *to, const struct molt_report *r);

// Why it is not done, with its code, to standard error. Returns the exit code.
int report_print_failure(const struct molt_report *r);

// The sum of several, each of which was printed already unless it is JSON. Returns the worst exit code.
int reports_print(const struct verb *verb, bool json, bool tree,
		  struct molt_report *const *r, size_t n);
int reports_verdict(struct molt_report *const *r, size_t n);
