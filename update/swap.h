// SPDX-License-Identifier: LGPL-2.1-or-later
// After the commit: old images go to anonymous memory and /proc/PID/exe names the new program.
#pragma once

#include "process/helper.h"
#include "update/plan.h"

// Of all modules of an update, the executable first. Its link needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN in the
// target (prctl(2), PR_SET_MM_MAP); without it, or when another mapping of the old file remains, an error says so and
// the old link stays: the generation record is the truth in any case. The process is stopped for the writable parts;
// *stop_ns says how long.
struct err *swap_old_images(struct plan *const *plans, size_t n, struct helper *h,
			    uint64_t *stop_ns) must_check;
