// SPDX-License-Identifier: LGPL-2.1-or-later
// Copies of program files that processes were updated from, so that `molt revert` finds them after a package
// upgrade has replaced them: DIR/PROGRAM-ID, DIR/PROGRAM-ID.debug and DIR/PROGRAM-ID.sum, for the owner alone.
//
// DIR is $MOLT_STATE/programs, else /var/lib/molt/programs for root and $XDG_STATE_HOME/molt/programs
// (~/.local/state/molt/programs) for others.
#pragma once

#include "elf/module.h"

// Copies the file, and its separate debug file if it has one, unless the store has them already.
struct err *store_keep(const struct module *m, const char *id) must_check;

// The path of the copy; false when there is none or it is damaged. The caller frees it.
bool store_find(const char *id, char **path);

// Where the debug file of a program lies that is opened by a path in the store: DIR, else NULL. To be freed.
char *store_debug_dir(const char *path);

struct store_names { // ids, without order
	VEC(char *) v;
};
void store_names_deinit(struct store_names *n);
// Whether there is anything that nobody has asked for in the last hour; only then pruning is worth the look at all
// processes.
bool store_has_stale(void);
// Removes copies that are stale and not in `used`.
void store_prune(const struct store_names *used);
