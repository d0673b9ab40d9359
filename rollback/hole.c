// SPDX-License-Identifier: LGPL-2.1-or-later
// Room in the address space for what is only there during a rollback: never where a mapping is to come back.
#include <stdlib.h>
#include <sys/param.h>

#include "rollback/impl.h"

static const taddr_t LOWEST = 1 << 20, HIGHEST = 0x7ffffffff000, GUARD = 1 << 20;

struct interval {
	taddr_t from, to;
	bool now; // it is mapped, not only to be
};

struct intervals {
	VEC(struct interval) v;
};

static int by_start(const void *a, const void *b)
{
	const struct interval *x = a, *y = b;

	return (x->from > y->from) - (x->from < y->from);
}

static struct err *collect(const struct rollback *rb, struct intervals *ret)
{
	_cleanup_(maps_deinit) struct maps maps = {0};

	TRY(maps_read(rb->p->pid, &maps));
	vec_for_each(m, &maps.v)
		TRY(vec_push(&ret->v, (struct interval){m->start, m->end, true}));
	vec_for_each(s, &rb->build.space->maps)
		TRY(vec_push(&ret->v, (struct interval){s->start, s->end, false}));
	qsort(ret->v.v, ret->v.n, sizeof(*ret->v.v), by_start);
	return NULL;
}

// The largest gap; with `below` one that ends where something is mapped now.
static struct interval largest(const struct intervals *l, bool below)
{
	struct interval best = {0};
	taddr_t end = LOWEST;

	vec_for_each(i, &l->v) {
		if (i->from > end && i->from <= HIGHEST && (i->now || !below) &&
		    i->from - end > best.to - best.from)
			best = (struct interval){end, i->from, false};
		end = MAX(end, i->to);
	}
	return best;
}

static struct err *find(const struct rollback *rb, bool below, struct interval *ret)
{
	struct intervals l = {0};
	struct err *e = collect(rb, &l);

	if (!e)
		*ret = largest(&l, below);
	vec_free(&l.v);
	return e;
}

static struct err *no_room(const struct rollback *rb, uint64_t size)
{
	return err_refuse("no-room", NULL,
			  "no room for %llu bytes in the address space of process %d",
			  (unsigned long long)size, rb->p->pid);
}

struct err *hole_for(const struct rollback *rb, uint64_t size, taddr_t *ret)
{
	struct interval gap = {0};

	TRY(find(rb, false, &gap));
	if (gap.to - gap.from < 2 * GUARD || size > gap.to - gap.from - 2 * GUARD)
		return no_room(rb, size);
	*ret = gap.to - GUARD - size;
	return NULL;
}

struct err *hole_base(const struct rollback *rb, taddr_t *ret)
{
	const uint64_t need = 64 << 20; // of the helper and the area of ask
	struct interval gap = {0};

	TRY(find(rb, true, &gap));
	if (gap.to - gap.from < need)
		return no_room(rb, need);
	*ret = gap.to;
	return NULL;
}
