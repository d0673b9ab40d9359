// SPDX-License-Identifier: LGPL-2.1-or-later
// Locks on files. flock and OFD locks and leases belong to the open file description and are made in the tool; POSIX record locks belong
// to the process and are made by it.
#pragma once

#include "resource/kinds.h"

// Adds what fdinfo tells: the description's to the object, the process's to its state (once for each inode).
struct err *locks_save(const struct open_file *f, size_t index, json_t *object) must_check;
// Those of one object, once it is made. `late`: the process that is replaced has ended.
struct err *locks_make(struct restoring *all, size_t index, const json_t *object,
		       bool late) must_check;
// Record locks of a process, by itself. One that the process to be replaced still has cannot be taken over: a note says so.
struct err *restore_locks(struct restorer *r) must_check;
