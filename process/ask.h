// SPDX-License-Identifier: LGPL-2.1-or-later
// System calls in the threads of a living process that stands still, so that nothing is lost if the tool dies: a thread
// sent to make them has all it needs to go back by itself (gates, as in commit.h). Between process_freeze and process_thaw.
#pragma once

#include "process/remote.h"

// While the process runs: maps the area of code and arguments, with room for `size` bytes of arguments.
struct err *ask_create(struct process *p, struct helper *h, size_t size,
		       struct remote **ret) must_check;
// Unmaps it; the process running or stopped, no thread being in it.
struct err *ask_free(struct remote *r) must_check;
