// SPDX-License-Identifier: LGPL-2.1-or-later
// See zeros.h. Of nearly every page that is not zero the first words tell it, so that looking costs one cache line a page.
#include "checkpoint/zeros.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, FIRST = 64 };
static const uint64_t WINDOW = 64 << 20;

static bool is_zero(const uint8_t *page)
{
	static const uint8_t zeros[FIRST];

	return !memcmp(page, zeros, FIRST) && !memcmp(page, page + FIRST, PAGE - FIRST);
}

static struct err *look(int fd, const struct piece *p, struct page_ranges *ret)
{
	uint8_t *map = mmap(NULL, p->len, PROT_READ, MAP_SHARED, fd, (off_t)p->offset);
	struct err *e = NULL;

	if (map == MAP_FAILED)
		return NULL; // they are stored then
	for (uint64_t at = 0; at < p->len && !e; at += PAGE)
		if (is_zero(map + at))
			e = ranges_append(ret, p->addr + at, PAGE);
	munmap(map, p->len);
	return e;
}

struct err *zeros_find(int fd, const struct pieces *pieces, struct page_ranges *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return NULL;
	vec_for_each(p, &pieces->v) {
		uint64_t size = (uint64_t)st.st_size / PAGE * PAGE;
		// Behind the end of the file nobody has written.
		uint64_t there = p->offset < size ? MIN(size - p->offset, p->len) : 0;

		for (uint64_t at = 0; at < there; at += WINDOW) {
			const struct piece part = {p->addr + at, MIN(there - at, WINDOW),
						   p->offset + at};

			TRY(look(fd, &part, ret));
		}
		TRY(ranges_append(ret, p->addr + there, p->len - there));
	}
	return NULL;
}
