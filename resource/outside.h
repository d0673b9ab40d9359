// SPDX-License-Identifier: LGPL-2.1-or-later
// Pipes and terminals whose other end is held by a process that is not saved, as standard input and output mostly are.
// The member "outside" says so: {"stdio": 0..2, "boot_id", "dev", "ino", "ctime"}. A restore takes the same pipe or terminal if it still lives
// on this machine, else the caller's own standard input or output.
#pragma once

#include "resource/kinds.h"

// Refused when a descriptor above 2 leads there.
struct err *outside_save(const struct open_file *f, int highest_fd, json_t *object)
	must_check;
struct err *outside_make(struct restoring *all, size_t index, const json_t *object)
	must_check;
