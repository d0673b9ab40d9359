// SPDX-License-Identifier: LGPL-2.1-or-later
// Stopping a process between two pieces of its work: every thread in the system call in which it waits for the next one.
//
// What a server took from a connection and has not answered yet exists in its memory only. A checkpoint between the two answers once
// more when it is restored, and a process replaced there never answers; at rest neither can happen.
#pragma once

#include "process/process.h"

// As process_freeze, but tries for up to `patience` ns to meet all threads waiting; *rests says whether it did. The process is stopped in
// any case when it returns NULL. *first_stop is of the last try.
struct err *process_freeze_at_rest(struct process *p, uint64_t deadline, uint64_t patience,
				   uint64_t *first_stop, bool *rests) must_check;

// Whether all threads of a stopped process wait.
bool process_rests(const struct process *p);
