// SPDX-License-Identifier: LGPL-2.1-or-later
// See pagemap.h.
#include "os/pagemap.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/param.h>
#include <unistd.h>

#include "os/uapi.h"

enum { PAGE = 4096, ENTRIES = 512 };

int os_pagemap_scan(int fd, const struct os_pagemap_query *query, struct os_pages *vec,
		    size_t n, uint64_t *next)
{
	struct uapi_pm_scan_arg arg = {.size = sizeof(arg),
				       .flags = query->flags,
				       .start = query->start,
				       .end = query->end,
				       .vec = (uint64_t)(uintptr_t)vec,
				       .vec_len = n,
				       .category_mask = query->all,
				       .category_anyof_mask = query->any,
				       .return_mask = query->report};
	int r;

	do
		r = ioctl(fd, UAPI_PAGEMAP_SCAN, &arg);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	// walk_end is where the kernel's own buffer was full the last time, not where the walk ended (seen with 6.18).
	*next = (size_t)r < n ? query->end : vec[r - 1].end;
	return r;
}

static uint64_t categories_of(uint64_t entry)
{
	const uint64_t present = 1ULL << 63, swapped = 1ULL << 62, file = 1ULL << 61;

	return UAPI_PAGE_IS_WRITTEN | (entry & present ? UAPI_PAGE_IS_PRESENT : 0) |
	       (entry & swapped ? UAPI_PAGE_IS_SWAPPED : 0) |
	       (entry & file ? UAPI_PAGE_IS_FILE : 0);
}

int os_pagemap_read(int fd, const struct os_pagemap_query *query, struct os_pages *vec,
		    size_t n, uint64_t *next)
{
	uint64_t entries[ENTRIES];
	size_t used = 0;

	for (*next = query->start; *next < query->end;) {
		size_t want = MIN((query->end - *next) / PAGE, ENTRIES);
		ssize_t got = pread(fd, entries, want * sizeof(*entries),
				    (off_t)(*next / PAGE * sizeof(*entries)));

		if (got < (ssize_t)sizeof(*entries))
			return got < 0 ? -errno : -EIO;
		for (size_t i = 0; i < (size_t)got / sizeof(*entries); i++, *next += PAGE) {
			uint64_t c = categories_of(entries[i]);
			struct os_pages *last = used ? &vec[used - 1] : NULL;

			if ((c & query->all) != query->all ||
			    (query->any && !(c & query->any)))
				continue;
			c &= query->report;
			if (last && last->end == *next && last->categories == c) {
				last->end += PAGE;
				continue;
			}
			if (used == n)
				return (int)used;
			vec[used++] = (struct os_pages){*next, *next + PAGE, c};
		}
	}
	return (int)used;
}
