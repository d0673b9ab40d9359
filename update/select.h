// SPDX-License-Identifier: LGPL-2.1-or-later
// Finding processes by the file they run.
#pragma once

#include <sys/types.h>

#include "util/vec.h"

struct selection {
	VEC(pid_t) pids; // ascending
	bool library;	 // nobody runs the file as its program; these map it
};

// Every process that runs the program at `path`: the file itself, also when it was deleted or replaced since, or
// what an update made of it. When there is none, those that map the file as a library. Refused, code no-process:
// neither. The tool itself is not among them.
struct err *select_file(const char *path, struct selection *ret) must_check;
void selection_deinit(struct selection *s);
// Leaves only those whose parent, or its parent and so on, is not selected too.
struct err *selection_roots(struct selection *s) must_check;
