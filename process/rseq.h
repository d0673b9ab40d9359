// SPDX-License-Identifier: LGPL-2.1-or-later
// Restartable sequences (rseq(2)) of stopped threads.
#pragma once

#include "process/process.h"

// Where a stopped thread that is within a restartable sequence goes on, as the kernel would decide when it next runs; 0: it
// is in none. Whoever sends the thread elsewhere has to do it in the kernel's place.
struct err *rseq_abort_address(const struct process *p, const struct thread *t,
			       taddr_t *ret) must_check;
