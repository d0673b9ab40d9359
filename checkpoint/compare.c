// SPDX-License-Identifier: LGPL-2.1-or-later
// See compare.h.
#include "checkpoint/compare.h"

#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "util/cleanup.h"

enum { PAGE = 4096, BUFFER = 1 << 20 };

struct comparer {
	struct memory *m;
	uint8_t *now, *then;
	struct page_ranges *same;
};

// How many bytes from addr on the parent has, at most len; 0: it never had the page.
static size_t in_parent(const struct comparer *c, taddr_t addr, size_t len)
{
	struct page_run run;

	return core_find(c->m->parent, addr, &run) ? MIN(run.len, len) / PAGE * PAGE : 0;
}

// Writes [from, to) of the buffer.
static struct err *put(const struct comparer *c, const struct piece *p, size_t from,
		       size_t to)
{
	return from < to ? transfer_put(core_writer_fd(c->m->core), c->now + from,
					to - from, p->offset + from)
			 : NULL;
}

static struct err *compare_pages(const struct comparer *c, const struct piece *p)
{
	size_t unwritten = 0;

	for (size_t at = 0; at < p->len;) {
		size_t n = in_parent(c, p->addr + at, p->len - at);

		if (n)
			TRY(core_read_memory(c->m->parent, p->addr + at, c->then + at, n));
		for (size_t end = at + MAX(n, PAGE); at < end; at += PAGE) {
			if (!n || memcmp(c->now + at, c->then + at, PAGE) != 0)
				continue;
			TRY(put(c, p, unwritten, at));
			unwritten = at + PAGE;
			TRY(ranges_append(c->same, p->addr + at, PAGE));
		}
	}
	return put(c, p, unwritten, p->len);
}

// A page that cannot be read is a piece of its own, as in transfer_write.
static struct err *compare_piece(const struct comparer *c, const struct piece *p)
{
	size_t step = BUFFER;

	for (uint64_t done = 0; done < p->len;) {
		struct piece part = {p->addr + done, MIN(p->len - done, step),
				     p->offset + done};
		bool there;

		TRY(transfer_look(c->m, part.addr, c->now, part.len, &there));
		if (!there && part.len > PAGE) {
			step = PAGE;
			continue;
		}
		if (there)
			TRY(compare_pages(c, &part));
		done += part.len;
	}
	return NULL;
}

struct err *compare_write(struct memory *m, const struct pieces *pieces,
			  struct page_ranges *same)
{
	_cleanup_free_ uint8_t *now = malloc(BUFFER), *then = malloc(BUFFER);
	const struct comparer c = {m, now, then, same};

	if (!now || !then)
		return err_nomem();
	vec_for_each(p, &pieces->v)
		TRY(compare_piece(&c, p));
	return NULL;
}
