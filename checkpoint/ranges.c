// SPDX-License-Identifier: LGPL-2.1-or-later
// Sets of pages; see pages.h.
#include <sys/param.h>

#include "checkpoint/pages.h"

void ranges_deinit(struct page_ranges *r)
{
	vec_free(&r->v);
}

struct err *ranges_append(struct page_ranges *r, taddr_t addr, uint64_t len)
{
	struct page_range *last = r->v.n ? &r->v.v[r->v.n - 1] : NULL;

	if (last && last->addr + last->len == addr) {
		last->len += len;
		return NULL;
	}
	return len ? vec_push(&r->v, (struct page_range){addr, len}) : NULL;
}

uint64_t ranges_bytes(const struct page_ranges *r)
{
	uint64_t sum = 0;

	vec_for_each(it, &r->v)
		sum += it->len;
	return sum;
}

// Ranges may overlap the last one of *r, never what is before it.
static struct err *join(struct page_ranges *r, const struct page_range *with)
{
	struct page_range *last = r->v.n ? &r->v.v[r->v.n - 1] : NULL;

	if (!last || with->addr > last->addr + last->len)
		return vec_push(&r->v, *with);
	last->len = MAX(last->addr + last->len, with->addr + with->len) - last->addr;
	return NULL;
}

struct err *ranges_union(const struct page_ranges *a, const struct page_ranges *b,
			 struct page_ranges *ret)
{
	size_t i = 0, k = 0;

	*ret = (struct page_ranges){0};
	while (i < a->v.n || k < b->v.n) {
		bool first =
			k == b->v.n || (i < a->v.n && a->v.v[i].addr <= b->v.v[k].addr);
		struct err *e = join(ret, first ? &a->v.v[i++] : &b->v.v[k++]);

		if (e) {
			ranges_deinit(ret);
			return e;
		}
	}
	return NULL;
}

struct err *ranges_minus(const struct page_ranges *a, const struct page_ranges *b,
			 struct page_ranges *ret)
{
	size_t k = 0;
	struct err *e = NULL;

	*ret = (struct page_ranges){0};
	vec_for_each(it, &a->v) {
		taddr_t at = it->addr, end = it->addr + it->len;

		while (k < b->v.n && b->v.v[k].addr + b->v.v[k].len <= at)
			k++;
		for (size_t j = k; at < end && !e; j++) {
			taddr_t from = j < b->v.n ? MIN(b->v.v[j].addr, end) : end;

			if (from > at)
				e = ranges_append(ret, at, from - at);
			at = j < b->v.n ? b->v.v[j].addr + b->v.v[j].len : end;
		}
	}
	if (e)
		ranges_deinit(ret);
	return e;
}
