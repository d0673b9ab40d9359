// SPDX-License-Identifier: LGPL-2.1-or-later
// Which old address stands for which new one in programs without symbols. Private to diff/.
#pragma once

#include "diff/side.h"

struct vote {
	vaddr_t old, new;
	size_t count;
};

struct guesses {
	VEC(struct vote) forward;  // best new address of each old one, sorted by old
	VEC(struct vote) backward; // best old address of each new one, sorted by new
};

// Function pairs must be complete.
struct err *guesses_make(struct guesses *g, const struct side *old,
			 const struct side *new) must_check;
bool guesses_hold(const struct guesses *g, vaddr_t old, vaddr_t new);
void guesses_deinit(struct guesses *g);
