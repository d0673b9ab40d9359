// SPDX-License-Identifier: LGPL-2.1-or-later
// Places in the core and what stands there; see memory.h.
#include "checkpoint/memory.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/param.h>

#include "checkpoint/compare.h"
#include "checkpoint/zeros.h"
#include "util/cleanup.h"

enum {
	SPARSE = 8,
	SMALL = 1 << 20
}; // a place may be that much larger than what is in it

struct err *memory_init(struct memory *m, pid_t pid, struct helper *h,
			struct core_writer *core, const struct core *parent)
{
	*m = (struct memory){.pid = pid,
			     .helper = h,
			     .core = core,
			     .parent = parent,
			     .rfd = -1,
			     .box = -1,
			     .box_rfd = -1};
	return transfer_give(m, core_writer_fd(core), &m->rfd);
}

void memory_deinit(struct memory *m)
{
	vec_free(&m->places);
	ranges_deinit(&m->saved);
	ranges_deinit(&m->boxed);
	ranges_deinit(&m->in_parent);
	if (m->box >= 0)
		close(m->box);
	m->box = -1;
}

// The first place that ends behind addr.
static size_t place_at(const struct memory *m, taddr_t addr)
{
	size_t lo = 0, hi = m->places.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->places.v[mid].addr + m->places.v[mid].len <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct err *insert(struct memory *m, size_t at, taddr_t addr, uint64_t len)
{
	struct place p = {addr, len, core_reserve(m->core, len)};

	TRY(vec_push(&m->places, p));
	memmove(&m->places.v[at + 1], &m->places.v[at],
		(m->places.n - 1 - at) * sizeof(*m->places.v));
	m->places.v[at] = p;
	return NULL;
}

// Room for what of [addr, end) has none yet.
static struct err *make_room(struct memory *m, taddr_t addr, taddr_t end)
{
	for (size_t i = place_at(m, addr); addr < end; i++) {
		taddr_t next = i < m->places.n ? MIN(m->places.v[i].addr, end) : end;

		if (next > addr)
			TRY(insert(m, i++, addr, next - addr));
		if (i >= m->places.n)
			break;
		addr = m->places.v[i].addr + m->places.v[i].len;
	}
	return NULL;
}

struct err *memory_reserve(struct memory *m, const struct mapping *map,
			   const struct page_ranges *present)
{
	uint64_t size = map->end - map->start, used = ranges_bytes(present);

	if (used && size / SPARSE <= used + SMALL)
		return make_room(m, map->start, map->end);
	vec_for_each(r, &present->v)
		TRY(make_room(m, r->addr, r->addr + r->len));
	return NULL;
}

// Cuts pages at the borders of their places.
static struct err *pieces_of(const struct memory *m, const struct page_ranges *pages,
			     struct pieces *ret)
{
	vec_for_each(r, &pages->v) {
		taddr_t at = r->addr, end = r->addr + r->len;

		for (size_t i = place_at(m, at); at < end; i++) {
			const struct place *p = &m->places.v[i];

			if (i >= m->places.n || p->addr > at)
				return err_new(ERR_INTERNAL,
					       "no place for the memory at 0x%" PRIx64,
					       at);
			uint64_t n = MIN(end, p->addr + p->len) - at;
			TRY(vec_push(&ret->v,
				     (struct piece){at, n, p->offset + (at - p->addr)}));
			at += n;
		}
	}
	return NULL;
}

static void replace(struct page_ranges *r, struct page_ranges with)
{
	ranges_deinit(r);
	*r = with;
}

// `same`: what of these pages the parent has.
static struct err *note_saved(struct memory *m, const struct page_ranges *pages,
			      const struct page_ranges *same)
{
	_cleanup_(ranges_deinit) struct page_ranges rest = {0};
	struct page_ranges all;

	TRY(ranges_union(&m->saved, pages, &all));
	replace(&m->saved, all);
	if (!m->in_parent.v.n && !same->v.n)
		return NULL;
	TRY(ranges_minus(&m->in_parent, pages, &rest));
	TRY(ranges_union(&rest, same, &all));
	replace(&m->in_parent, all);
	return NULL;
}

static struct err *write_pages(struct memory *m, const struct mapping *map,
			       const struct page_ranges *pages, bool compare)
{
	_cleanup_(pieces_deinit) struct pieces pieces = {0};
	_cleanup_(ranges_deinit) struct page_ranges same = {0};

	if (!pages->v.n)
		return NULL;
	TRY(memory_reserve(m, map, pages));
	TRY(pieces_of(m, pages, &pieces));
	if (compare)
		TRY(compare_write(m, &pieces, &same));
	else
		TRY(transfer_write(m, &m->rfd, core_writer_fd(m->core),
				   map->prot & PROT_READ, &pieces));
	return note_saved(m, pages, &same);
}

// What is small is stored in every core: ld.so's list of modules, by which debuggers find the libraries, is there.
static bool compares(const struct memory *m, const struct mapping *map)
{
	static const uint64_t small = 256 << 10;

	return m->parent && map->end - map->start > small;
}

struct err *memory_write(struct memory *m, const struct mapping *map,
			 const struct page_ranges *pages)
{
	return write_pages(m, map, pages, compares(m, map));
}

struct err *memory_write_quickly(struct memory *m, const struct mapping *map,
				 const struct page_ranges *pages)
{
	_cleanup_(pieces_deinit) struct pieces pieces = {0};
	uint64_t at = m->box_used;

	if (m->box < 0 || ranges_bytes(pages) > m->box_size - m->box_used)
		return write_pages(m, map, pages, !m->box_size && compares(m, map));
	vec_for_each(r, &pages->v) {
		TRY(vec_push(&pieces.v, (struct piece){r->addr, r->len, at}));
		TRY(vec_push(&m->boxed.v, *r));
		at += r->len;
	}
	m->box_used = at;
	TRY(transfer_write(m, &m->box_rfd, m->box, map->prot & PROT_READ, &pieces));
	return memory_reserve(m, map, pages);
}

struct err *memory_make_box(struct memory *m, uint64_t size)
{
	m->box = memfd_create("molt-box", MFD_CLOEXEC);
	if (m->box < 0 || posix_fallocate(m->box, 0, (off_t)size)) {
		if (m->box >= 0)
			close(take_fd(&m->box));
		return NULL; // it only saves time
	}
	m->box_size = size;
	return transfer_give(m, m->box, &m->box_rfd);
}

static struct err *put_back(struct memory *m, const uint8_t *box)
{
	static const struct page_ranges none;
	uint64_t at = 0;

	vec_for_each(r, &m->boxed.v) {
		_cleanup_(pieces_deinit) struct pieces pieces = {0};
		_cleanup_(ranges_deinit) struct page_ranges one = {0};

		TRY(ranges_append(&one, r->addr, r->len));
		TRY(pieces_of(m, &one, &pieces));
		vec_for_each(p, &pieces.v) {
			TRY(transfer_put(core_writer_fd(m->core), box + at, p->len,
					 p->offset));
			at += p->len;
		}
		TRY(note_saved(m, &one, &none));
	}
	return NULL;
}

struct err *memory_empty_box(struct memory *m)
{
	if (!m->box_used)
		return NULL;
	uint8_t *box =
		mmap(NULL, m->box_used, PROT_READ, MAP_SHARED | MAP_POPULATE, m->box, 0);

	if (box == MAP_FAILED)
		return err_nomem();
	struct err *e = put_back(m, box);
	munmap(box, m->box_used);
	m->box_used = 0;
	m->boxed.v.n = 0;
	return e;
}

static struct err *add_data(struct memory *m, const struct page_ranges *pages)
{
	_cleanup_(pieces_deinit) struct pieces pieces = {0};

	TRY(pieces_of(m, pages, &pieces));
	vec_for_each(p, &pieces.v) {
		const struct page_run run = {
			.addr = p->addr, .len = p->len, .offset = p->offset};

		TRY(core_add_run(m->core, &run));
	}
	return NULL;
}

static struct err *add_others(struct memory *m, const struct page_ranges *pages,
			      enum page_kind kind)
{
	vec_for_each(r, &pages->v) {
		const struct page_run run = {.addr = r->addr, .len = r->len, .kind = kind};

		TRY(core_add_run(m->core, &run));
	}
	return NULL;
}

struct err *memory_add_runs(struct memory *m, const struct page_ranges *present)
{
	_cleanup_(pieces_deinit) struct pieces pieces = {0};
	_cleanup_(ranges_deinit) struct page_ranges own = {0}, theirs = {0}, zeros = {0},
						    data = {0};

	TRY(ranges_minus(present, &m->in_parent, &own));
	TRY(ranges_minus(present, &own, &theirs));
	TRY(pieces_of(m, &own, &pieces));
	TRY(zeros_find(core_writer_fd(m->core), &pieces, &zeros));
	TRY(ranges_minus(&own, &zeros, &data));
	m->stored = ranges_bytes(&data);
	TRY(add_others(m, &theirs, PAGES_PARENT));
	TRY(add_others(m, &zeros, PAGES_ZERO));
	return add_data(m, &data);
}
