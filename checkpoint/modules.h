// SPDX-License-Identifier: LGPL-2.1-or-later
// The programs and libraries that processes map: kept in the store under their key, once.
#pragma once

#include "checkpoint/vmas.h"
#include "image/store.h"

struct module_key {
	uint64_t dev, ino;
	char key[MODULE_KEY_SIZE]; // "" when the file is not kept
	char build_id[65];	   // "" when it has none
};

struct modules { // of all processes of a checkpoint
	VEC(struct module_key) v;
};

// Keeps what the process maps executable, and what has no name any more; sets vma->key (which lives until the next call).
struct err *modules_keep(struct modules *m, struct store *store, pid_t pid,
			 struct vmas *vmas) must_check;
const struct module_key *modules_find(const struct modules *m, uint64_t dev, uint64_t ino);
void modules_deinit(struct modules *m);
