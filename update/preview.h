// SPDX-License-Identifier: LGPL-2.1-or-later
// What the stacks look like to a plan, which may not stop anything.
#pragma once

#include "update/quiesce.h"

// Walks what can be walked of each blocked thread from /proc/PID/task/TID/syscall and notes, for those that
// stand in changed code now, what an update would do. *threads: how many the process has.
struct err *preview_threads(struct plan *const *plans, size_t n,
			    const struct quiesce_options *opt, size_t *threads) must_check;
