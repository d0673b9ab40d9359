// SPDX-License-Identifier: LGPL-2.1-or-later
// System V shared memory segments of a checkpoint.
#pragma once

#include "restore/space.h"

struct segment {
	int id;
	bool made;   // it was not there
	bool remove; // it goes with its last user
	bool in_use; // by other processes: what it holds is theirs
};

struct err *segment_make(struct restoring *all, const json_t *o, uint64_t size,
			 struct segment *s, int *fd) must_check;
// The call that attaches it there; false: not as a whole.
bool segment_call(const struct segment *s, uint64_t size, const struct saved_map *map,
		  struct syscall_req *ret);
// All processes have it, or (`kept` false) none will.
void segment_finish(const struct segment *s, bool kept);
