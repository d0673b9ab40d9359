// SPDX-License-Identifier: LGPL-2.1-or-later
// Making the reports of molt.h. The one place where kinds of errors become verdicts.
#pragma once

#include "diff/diff.h"
#include "include/molt.h"
#include "util/error.h"

enum molt_verdict report_verdict(enum err_kind kind);

// An empty report with verdict MOLT_DONE; NULL without memory. molt_report_free frees it.
struct molt_report *report_new(pid_t pid);

// Puts the error into the report (verdict, code, reason, object) and frees it. NULL
// changes nothing.
void report_fail(struct molt_report *r, struct err *e);

// Appends a remark.
struct err *report_note(struct molt_report *r, const char *fmt, ...)
	must_check printf_like(2, 3);

// Another report becomes part of this one: generation, builds, figures, remarks. Its failure comes back as an
// error of its kind. Freed.
struct err *report_take(struct molt_report *r, struct molt_report *part) must_check;

// Counts by enum func_verdict as the public interface has them.
struct molt_functions report_functions(const size_t count[FUNC_REMOVED + 1]);
