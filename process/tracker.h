// SPDX-License-Identifier: LGPL-2.1-or-later
// Which pages a process has written since a moment: userfaultfd with asynchronous write protection, made in the target by
// the helper and held by the tool only, and PAGEMAP_SCAN (Linux 6.7). When the tool dies the kernel lifts the protection;
// no write ever waits for anybody.
#pragma once

#include "process/helper.h"
#include "process/maps.h"

struct tracker;

struct page_range {
	taddr_t addr;
	uint64_t len;
};
struct page_ranges {
	VEC(struct page_range) v; // ascending
};

// ERR_UNSUPPORTED (no-write-tracking) where the kernel lacks it.
struct err *tracker_create(struct process *p, struct helper *h, struct tracker **ret)
	must_check;
// Registers and arms every private anonymous or private file mapping that is not yet; those that cannot be (shared, hugetlb)
// are left: tracker_covers says which are.
struct err *tracker_arm(struct tracker *t, const struct maps *maps) must_check;
bool tracker_covers(const struct tracker *t, const struct mapping *m);
// Pages of the mapping written since they were armed last; with `rearm` they are armed again in the same call. Pages dropped by
// MADV_DONTNEED are among them.
struct err *tracker_dirty(struct tracker *t, const struct mapping *m, bool rearm,
			  struct page_ranges *ret) must_check;
void tracker_free(struct tracker *t);
