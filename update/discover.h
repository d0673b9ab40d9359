// SPDX-License-Identifier: LGPL-2.1-or-later
// Libraries that belong to a new program: found beside it, or replaced on the disk.
#pragma once

#include "update/plan.h"
#include "update/update.h"

struct discovery {
	VEC(struct update_module) v; // go in with the program; strings are owned
	VEC(char *) stale; // replaced on the disk, but not beside NEW: they stay old
};

// Looks for newer builds of the libraries that the process has loaded, beside the new program: at the same place
// relative to it as the library is to the old program, or in its own folder. Those that the user named are left out.
struct err *discover_modules(const struct subject *exe, const char *new_path,
			     const struct update_set *named, struct discovery *ret)
	must_check;
void discovery_deinit(struct discovery *d);
