// SPDX-License-Identifier: LGPL-2.1-or-later
// Making the saved mappings.
#pragma once

#include "restore/memories.h"
#include "restore/sources.h"

struct mapping_files {
	struct sources *sources;
	const struct memories *memories;
	int *numbers; // in the process, of each memory object
};

// All in their places, with their final protection; empty, or with what their files have.
struct err *mappings_make(struct build *b, const struct mapping_files *files) must_check;
// madvise and mlock.
struct err *mappings_advise(struct build *b) must_check;
// PR_SET_MM_MAP: program break, arguments, auxiliary vector, executable.
struct err *mappings_describe(struct build *b, const struct mapping_files *files)
	must_check;
