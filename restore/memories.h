// SPDX-License-Identifier: LGPL-2.1-or-later
// Memory that processes share: objects["memory"], made in the tool before any process exists.
#pragma once

#include "restore/segments.h"

struct memories {
	const json_t *list; // NULL: none
	struct restoring *all;
	struct segment *segments; // of each object of System V; made false and id -1 otherwise
};

// Makes every object, empty: all->memory.
struct err *memories_make(struct memories *m) must_check;
// Writes what the cores have of it; each page once.
struct err *memories_fill(const struct memories *m, const struct build *b) must_check;
// The call that maps it; `fd` is its number in the process.
struct err *memories_call(const struct memories *m, const struct saved_map *map,
			  int flags, int fd, struct syscall_req *ret) must_check;
// Passes the descriptors of what the process maps: numbers[index].
struct err *memories_give(const struct memories *m, struct build *b, int *numbers)
	must_check;
// When the processes have it (`kept`), or nothing came of it.
void memories_deinit(struct memories *m, bool kept);
