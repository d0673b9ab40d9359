// SPDX-License-Identifier: LGPL-2.1-or-later
// Looking for pointers to a variable in all writable memory of the target.
#pragma once

#include "update/plan.h"

// The address of a word that points into [home, home + size of v), 0 when there is none. Words of OLD's own
// data that a relocation made point there do not count: the merge of initial data points them elsewhere.
struct err *pointers_find(const struct plan *p, const struct var *v, taddr_t home,
			  taddr_t *ret) must_check;

// Whether the resident writable memory is little enough to be searched inside the stop.
struct err *pointers_searchable(const struct plan *p, bool *ret) must_check;

// In the stop: a value in a general register of some thread that points into it, or 0.
taddr_t pointers_in_registers(const struct plan *p, const struct var *v, taddr_t home);
