// SPDX-License-Identifier: LGPL-2.1-or-later
// What the pages of a process are: ioctl PAGEMAP_SCAN (Linux 6.7), and /proc/PID/pagemap itself where that is missing.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct os_pages { // pages with the same categories, UAPI_PAGE_IS_*
	uint64_t start, end, categories;
};

struct os_pagemap_query {
	uint64_t start, end; // page-aligned
	uint64_t flags;	     // UAPI_PM_SCAN_*
	uint64_t all,
		any; // categories that a page must have, all of them and one of them; 0: no condition
	uint64_t report; // categories to be told
};

// fd: /proc/PID/pagemap. Gives how many elements of `vec` were written, or -errno; *next is where the walk ended: query->end,
// or before it when vec is full. -ENOTTY, -EINVAL: the kernel has no such call.
int os_pagemap_scan(int fd, const struct os_pagemap_query *query, struct os_pages *vec,
		    size_t n, uint64_t *next);
// The same without the ioctl: every page is reported as written, none as the zero page; no flags.
int os_pagemap_read(int fd, const struct os_pagemap_query *query, struct os_pages *vec,
		    size_t n, uint64_t *next);
