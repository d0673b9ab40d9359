// SPDX-License-Identifier: LGPL-2.1-or-later
// Memory by userfaultfd: set up in the process, served from outside (filler.h).
#pragma once

#include "restore/moves.h"
#include "restore/space.h"

// Where memory of the process is to come later: registers it and says what is to come. b->uffd is -1 afterwards when the kernel
// does not let us.
struct err *lazy_register(struct build *b, struct pending_memory *ret,
			  struct moves *moves) must_check;
