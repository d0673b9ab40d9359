// SPDX-License-Identifier: LGPL-2.1-or-later
// The saved memory by address, through a chain of incremental cores.
#include <string.h>

#include "image/impl.h"

// The last run that begins at or below addr; NULL: none.
static const struct page_run *run_below(const struct core *c, taddr_t addr)
{
	size_t n, lo = 0, hi;
	const struct page_run *v = core_runs(c, &n);

	for (hi = n; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;

		if (v[mid].addr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? &v[lo - 1] : NULL;
}

const struct core *core_find(const struct core *c, taddr_t addr, struct page_run *ret)
{
	uint64_t most = UINT64_MAX;

	for (; c; c = core_parent(c)) {
		const struct page_run *r = run_below(c, addr);
		uint64_t skip = r ? addr - r->addr : 0;

		if (!r || skip >= r->len)
			break;
		if (r->len - skip < most)
			most = r->len - skip;
		if (r->kind == PAGES_PARENT)
			continue;
		*ret = (struct page_run){
			addr, most, r->kind == PAGES_DATA ? r->offset + skip : 0, r->kind};
		return c;
	}
	*ret = (struct page_run){.addr = addr, .kind = PAGES_ZERO};
	return NULL;
}

// Untouched memory of the saved process: how much of it reads as zeros from here, 0: none.
static uint64_t untouched_zeros(const struct core *c, taddr_t addr)
{
	const struct core_maps *maps = core_maps(c);

	vec_for_each(m, &maps->v)
		if (addr >= m->start && addr < m->end)
			return m->file ? 0 : CORE_PAGE - (addr & (CORE_PAGE - 1));
	return 0;
}

struct err *core_read_memory(const struct core *c, taddr_t addr, void *buf, size_t len)
{
	char *p = buf;

	while (len) {
		struct page_run r;
		const struct core *from = core_find(c, addr, &r);
		uint64_t part = from ? r.len : untouched_zeros(c, addr);

		if (!part)
			return image_corrupt(core_name(c), "memory at %#llx is not in it",
					     (unsigned long long)addr);
		if (part > len)
			part = len;
		if (from && r.kind == PAGES_DATA)
			TRY(read_all(core_fd(from), core_name(from), p, part, r.offset));
		else
			memset(p, 0, part);
		p += part;
		addr += part;
		len -= part;
	}
	return NULL;
}
