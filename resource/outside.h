// SPDX-License-Identifier: LGPL-2.1-or-later
// Pipes and terminals whose other end is held by a process that is not saved, as standard input and output mostly are. The
// member "outside" says so: {"stdio": 0..2 (the number it had, null above), "boot_id", "dev", "ino", "ctime" (of a terminal)}.
#pragma once

#include "resource/kinds.h"

struct err *outside_save(const struct open_file *f, json_t *object) must_check;
// The same pipe or terminal if it still lives on this machine, else, for a number up to 2, the caller's own standard input or
// output (with a note), else all->files[index] stays -1.
struct err *outside_make(struct restoring *all, size_t index, const json_t *object)
	must_check;
// A descriptor for the caller's own standard input or output; -1: there is none.
int outside_callers(int number, int flags);
// For the number 0..2 of such an object: the caller's own of that number, when it is another one. all->files[index] else.
struct err *outside_number(struct restoring *all, size_t index, int number, int *fd)
	must_check;
