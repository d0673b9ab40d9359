// SPDX-License-Identifier: LGPL-2.1-or-later
// Homes and canonical addresses; see layout.h.
#include "update/layout.h"

#include <stdlib.h>

static int by_vaddr(const void *a, const void *b)
{
	vaddr_t x = *(const vaddr_t *)a, y = *(const vaddr_t *)b;

	return x < y ? -1 : x > y;
}

void layout_sort(struct layout *l)
{
	// Each element begins with its vaddr.
	if (l->homes.n)
		qsort(l->homes.v, l->homes.n, sizeof(*l->homes.v), by_vaddr);
	if (l->canonicals.n)
		qsort(l->canonicals.v, l->canonicals.n, sizeof(*l->canonicals.v),
		      by_vaddr);
	if (l->aliases.n)
		qsort(l->aliases.v, l->aliases.n, sizeof(*l->aliases.v), by_vaddr);
}

void layout_deinit(struct layout *l)
{
	vec_free(&l->homes);
	vec_free(&l->canonicals);
	vec_free(&l->aliases);
}

taddr_t layout_data(const struct layout *l, vaddr_t addr)
{
	size_t lo = 0, hi = l->homes.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->homes.v[mid].addr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo) {
		const struct home *h = &l->homes.v[lo - 1];

		if (addr == h->addr || addr - h->addr < h->size)
			return h->home + (addr - h->addr);
	}
	return l->base + addr;
}

taddr_t layout_function(const struct layout *l, vaddr_t addr)
{
	const struct canonical *c =
		l->canonicals.n ? bsearch(&addr, l->canonicals.v, l->canonicals.n,
					  sizeof(*l->canonicals.v), by_vaddr)
				: NULL;

	return c ? c->entry : l->base + addr;
}

size_t layout_aliases(const struct layout *l, vaddr_t addr,
		      const struct entry_alias **first)
{
	size_t lo = 0, hi = l->aliases.n, n = 0;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->aliases.v[mid].addr < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	*first = l->aliases.v + lo;
	while (lo + n < l->aliases.n && l->aliases.v[lo + n].addr == addr)
		n++;
	return n;
}
