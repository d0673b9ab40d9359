// SPDX-License-Identifier: LGPL-2.1-or-later
// Which pages of a mapping go into the core; and sets of pages.
#pragma once

#include "checkpoint/vmas.h"

struct pagemap { // of one process
	int fd;
	bool old; // the kernel has no PAGEMAP_SCAN: every page counts as written
};

struct err *pagemap_open(pid_t pid, struct pagemap *ret) must_check;
void pagemap_close(struct pagemap *p);

struct page_range {
	taddr_t addr;
	uint64_t len;
};

struct page_ranges {
	VEC(struct page_range) v;
};

enum scan {
	SCAN_ALL,     // nobody tracks: every page counts as written
	SCAN_TRACKED, // written is what was since the page was armed; the tracker has registered the mapping, or had
	SCAN_REARM, // the same; these are armed again, and the others not told of. The mapping must be registered.
};

// Appends the pages of the mapping that belong into the core to *present, those of them that have been written to *dirty.
struct err *pagemap_scan(const struct pagemap *p, const struct vma *v, enum scan how,
			 struct page_ranges *present, struct page_ranges *dirty)
	must_check;

// Sets: ascending, disjoint; neighbours may touch.
struct err *ranges_append(struct page_ranges *r, taddr_t addr, uint64_t len) must_check;
uint64_t ranges_bytes(const struct page_ranges *r);
struct err *ranges_union(const struct page_ranges *a, const struct page_ranges *b,
			 struct page_ranges *ret) must_check;
struct err *ranges_minus(const struct page_ranges *a, const struct page_ranges *b,
			 struct page_ranges *ret) must_check;
void ranges_deinit(struct page_ranges *r);
