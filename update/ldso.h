// SPDX-License-Identifier: LGPL-2.1-or-later
// What ld.so knows of the modules of a process.
#pragma once

#include "update/plan.h"

// End of the last segment that has all these PF_* flags, as ld.so counts it: not rounded up.
vaddr_t module_end(const struct module *m, uint32_t flags);
// Of PT_GNU_EH_FRAME, 0 when there is none.
vaddr_t module_eh_frame_hdr(const struct module *m);

// The tables of _dl_find_object (glibc 2.35 and later), by which exceptions and thread cancellation find a
// library: entries of all updated libraries, in the order of their new addresses. The patches go on the first plan.
struct err *plan_find_object(struct plan *const *plans, size_t n) must_check;
