// SPDX-License-Identifier: LGPL-2.1-or-later
// Memory: what is not known any more in the stop, and the contents of mappings that are made again.
#include <string.h>
#include <sys/param.h>

#include "rollback/impl.h"

enum { PIECE = 1 << 20 };

// Pages of a mapping of which nothing is known any more.
static struct err *unknown_pages(struct rollback *rb, const struct vma *v,
				 struct page_ranges *present, struct page_ranges *ret)
{
	_cleanup_(ranges_deinit) struct page_ranges written = {0}, gone = {0}, whole = {0};

	TRY(ranges_append(&whole, v->m->start, v->m->end - v->m->start));
	TRY(pagemap_scan(&rb->pagemap, v, pages_may_track(v) ? SCAN_TRACKED : SCAN_ALL,
			 present, &written));
	// A page that is not there any more is not what it was.
	TRY(ranges_minus(&whole, present, &gone));
	return ranges_union(&gone, &written, ret);
}

struct err *pages_forget_written(struct rollback *rb)
{
	_cleanup_(ranges_deinit) struct page_ranges all = {0}, rest = {0};

	if (!rb->tracker)
		return NULL;
	vec_for_each(v, &rb->vmas.v) {
		_cleanup_(ranges_deinit) struct page_ranges unknown = {0};

		TRY(vec_push(&rb->present, (struct page_ranges){0}));
		TRY(unknown_pages(rb, v, &rb->present.v[rb->present.n - 1], &unknown));
		vec_for_each(r, &unknown.v)
			TRY(ranges_append(&all, r->addr, r->len));
	}
	TRY(ranges_minus(&rb->equal, &all, &rest));
	struct page_ranges old = rb->equal;
	rb->equal = rest;
	rest = old;
	return NULL;
}

struct err *pages_fill(struct rollback *rb, taddr_t from, taddr_t to)
{
	size_t n, i = pages_first_run(rb->core, from);
	const struct page_run *runs = core_runs(rb->core, &n);

	for (; i < n && runs[i].addr < to; i++) {
		taddr_t a = MAX(from, runs[i].addr),
			b = MIN(to, runs[i].addr + runs[i].len);

		for (taddr_t at = a; at < b;) {
			size_t len = MIN(b - at, (uint64_t)PIECE);
			taddr_t staged;
			void *room;

			TRY(stage_take(rb, len, &room, &staged));
			if (runs[i].kind == PAGES_ZERO)
				memset(room, 0, len);
			else
				TRY(core_read_memory(rb->core, at, room, len));
			TRY(ADD(&rb->calls, "copy memory", ASK_COPY, at, staged, len));
			rb->ret->bytes += len;
			at += len;
		}
	}
	return NULL;
}
