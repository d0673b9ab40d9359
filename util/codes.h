// SPDX-License-Identifier: LGPL-2.1-or-later
// Every stable code an error can have, with what it means and what to do: `molt explain`.
#pragma once

#include <stddef.h>

struct code_text {
	const char *code;
	const char *title;   // one line, no full stop
	const char *meaning; // sentences; why molt does not go on
	const char *remedy;  // sentences; what the user can do
};

// The row with this index, NULL behind the last. Sorted by subject, not by name.
const struct code_text *code_at(size_t i);

// The row of a code, NULL when it is unknown.
const struct code_text *code_find(const char *code);
