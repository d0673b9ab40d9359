// SPDX-License-Identifier: LGPL-2.1-or-later
// The descendants of a process.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "util/error.h"
#include "util/vec.h"

struct pids {
	VEC(pid_t) v;
};
void pids_deinit(struct pids *p);

// All living ones, the root first, parents before their children. Waits a little for a child of vfork that is still in
// its parent's memory.
struct err *family_read(pid_t root, struct pids *ret) must_check;
bool family_lives(pid_t pid); // and is no zombie
// How many living children a process has.
size_t family_children(pid_t pid);
// state["zombies"] of a process that stands still.
struct err *family_put_zombies(pid_t pid, json_t *state) must_check;
