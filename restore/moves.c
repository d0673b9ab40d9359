// SPDX-License-Identifier: LGPL-2.1-or-later
// See moves.h.
#include "restore/moves.h"

#include <inttypes.h>

#include "util/cleanup.h"

void moves_deinit(struct moves *m)
{
	pending_deinit(&m->known);
	pending_deinit(&m->late);
	pending_deinit(&m->late_known);
}

struct err *moves_copy(const struct moves *m, struct moves *ret)
{
	TRY(pending_copy(&m->known, &ret->known));
	TRY(pending_copy(&m->late, &ret->late));
	return pending_copy(&m->late_known, &ret->late_known);
}

struct err *moves_register(struct moves *m, taddr_t addr, uint64_t len)
{
	return pending_add(&m->known, &(struct pending_run){.addr = addr, .len = len});
}

// What is to come at the range that an event is about: what was set aside for it, else what there is now.
static struct err *take_range(struct moves *m, struct pending_memory *pending,
			      taddr_t addr, uint64_t len, struct pending_memory *ret)
{
	_cleanup_(pending_deinit) struct pending_memory aside = {}, known = {};
	taddr_t at = addr, end = addr + len;

	TRY(pending_take(&m->late_known, addr, len, &aside));
	TRY(pending_take(&m->late, addr, len, ret));
	for (size_t i = 0; at < end; i++) {
		bool last = i >= aside.v.n;
		taddr_t until = last ? end : aside.v.v[i].addr;

		if (until > at) {
			TRY(pending_take(pending, at, until - at, ret));
			TRY(pending_take(&m->known, at, until - at, &known));
		}
		at = last ? end : aside.v.v[i].addr + aside.v.v[i].len;
	}
	return NULL;
}

struct err *moves_unmap(struct moves *m, struct pending_memory *pending, taddr_t addr,
			uint64_t len)
{
	_cleanup_(pending_deinit) struct pending_memory gone = {};

	return take_range(m, pending, addr, len, &gone);
}

static struct err *set_aside(struct moves *m, struct pending_memory *pending,
			     taddr_t addr, uint64_t len)
{
	_cleanup_(pending_deinit) struct pending_memory known = {}, runs = {}, twice = {};

	TRY(pending_take(&m->known, addr, len, &known));
	TRY(pending_take(pending, addr, len, &runs));
	if (!known.v.n)
		return NULL;
	TRY(pending_take(&m->late_known, addr, len, &twice));
	if (twice.v.n)
		return err_new(ERR_INTERNAL,
			       "the order in which memory was moved to 0x%" PRIx64
			       " cannot be told",
			       addr);
	TRY(pending_insert(&m->late_known, &known, 0));
	return pending_insert(&m->late, &runs, 0);
}

struct err *moves_remap(struct moves *m, struct pending_memory *pending, taddr_t from,
			taddr_t to, uint64_t len)
{
	_cleanup_(pending_deinit) struct pending_memory moved = {}, known = {};

	TRY(take_range(m, pending, from, len, &moved));
	TRY(set_aside(m, pending, to, len));
	TRY(vec_push(&known.v, ((struct pending_run){.addr = to, .len = len})));
	TRY(pending_insert(&m->known, &known, 0));
	return pending_insert(pending, &moved, to - from);
}
