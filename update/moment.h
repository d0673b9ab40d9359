// SPDX-License-Identifier: LGPL-2.1-or-later
// The moment of an update: all its processes stopped together, with every frame of each ready to move.
#pragma once

#include "update/job.h"

struct moment {
	struct job *const *jobs;
	size_t n;
	uint64_t deadline; // monotonic ns
	// What came out:
	uint64_t first_stop;	      // when the first thread stopped
	uint64_t freeze_ns, judge_ns; // of the last stop
	unsigned attempts;	      // in vain or not, summed up over several calls
};

// Stops the processes and adds the moves to their commits when every frame of each may be moved, else waits
// behind gates and tries again. All are frozen when this returns without an error, and run when it returns
// with one: ERR_BUSY with code not-quiescent names thread, function, source line and call path.
struct err *moment_freeze(struct moment *m) must_check;

// Lets all go on, whatever happens, and returns the first error. *last: when the last thread was released.
struct err *moment_thaw(struct moment *m, uint64_t *last) must_check;
