// SPDX-License-Identifier: GPL-2.0-or-later
// The two forms of the result of `molt diff`.
#pragma once

#include "cmd/cmd.h"
#include "diff/diff.h"

// Prints it for people. `verbose` says for each function what made it differ, and shortens no list.
void diff_print(const struct diff *d, bool verbose);

// Prints one JSON object; returns an exit code.
int diff_print_json(const struct verb *verb, const struct diff *d);

// The function or variable that a pair is about: NEW's, or OLD's when it was removed.
const struct func *diff_func(const struct diff *d, const struct func_pair *p);
const struct var *diff_var(const struct diff *d, const struct var_pair *p);

// Where a function is declared; false without debug information.
bool diff_func_pos(const struct diff *d, const struct func_pair *p,
		   struct source_pos *ret);

// How sure the pairs of a program without names are.
struct diff_certainty {
	size_t pairs, certain;
	const struct func_pair *least; // NULL when all are certain
};
struct diff_certainty diff_certainty(const struct diff *d);

// "line" and "version" for --json, "none" without a common cause.
const char *diff_cause_name(enum func_cause cause);
// "needed_added" and its like for --json.
const char *diff_fact_name(enum module_change kind);
