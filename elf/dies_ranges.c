// SPDX-License-Identifier: LGPL-2.1-or-later
// Address ranges of units and functions: .debug_ranges (DWARF 2 to 4) and .debug_rnglists
// (5).
#include "elf/dies_internal.h"

#include <dwarf.h>

enum { MAX_EMPTY = 64 }; // ranges in front of the first that is not empty

struct range_reader {
	const struct dies *d;
	const struct die_unit *u;
	struct cursor c;
	uint64_t base;
};

static struct range_reader range_reader(const struct dies *d, const struct die_unit *u,
					uint64_t off)
{
	const struct die_source *s = &d->sources[u->source];

	return (struct range_reader){
		.d = d,
		.u = u,
		.c = cursor_from(u->version < 5 ? s->ranges : s->rnglists, off),
		.base = u->low_pc};
}

static bool next_range4(struct range_reader *r, uint64_t *start, uint64_t *end)
{
	unsigned n = r->u->address_size;

	for (;;) {
		uint64_t a = cursor_uint(&r->c, n), b = cursor_uint(&r->c, n);

		if (r->c.bad || (!a && !b))
			return false;
		if (a == UINT64_MAX) {
			r->base = b;
			continue;
		}
		*start = r->base + a;
		*end = r->base + b;
		return true;
	}
}

static bool next_range5(struct range_reader *r, uint64_t *start, uint64_t *end)
{
	struct cursor *c = &r->c;
	unsigned n = r->u->address_size;

	for (;;) {
		uint64_t kind = cursor_uint(c, 1), a;

		if (c->bad)
			return false;
		switch (kind) {
		case DW_RLE_base_addressx:
			r->base = attr_indexed_address(r->d, r->u, cursor_uleb(c));
			continue;
		case DW_RLE_base_address:
			r->base = cursor_uint(c, n);
			continue;
		case DW_RLE_offset_pair:
			*start = r->base + cursor_uleb(c);
			*end = r->base + cursor_uleb(c);
			return !c->bad;
		case DW_RLE_start_end:
			*start = cursor_uint(c, n);
			*end = cursor_uint(c, n);
			return !c->bad;
		case DW_RLE_start_length:
			*start = cursor_uint(c, n);
			*end = *start + cursor_uleb(c);
			return !c->bad;
		case DW_RLE_startx_endx:
			a = cursor_uleb(c);
			*start = attr_indexed_address(r->d, r->u, a);
			*end = attr_indexed_address(r->d, r->u, cursor_uleb(c));
			return !c->bad;
		case DW_RLE_startx_length:
			a = cursor_uleb(c);
			*start = attr_indexed_address(r->d, r->u, a);
			*end = *start + cursor_uleb(c);
			return !c->bad;
		default: // DW_RLE_end_of_list, and what is not known
			return false;
		}
	}
}

static bool next_range(struct range_reader *r, uint64_t *start, uint64_t *end)
{
	return r->u->version < 5 ? next_range4(r, start, end) : next_range5(r, start, end);
}

bool range_list_start(const struct dies *d, const struct die_unit *u, uint64_t off,
		      uint64_t *ret)
{
	struct range_reader r = range_reader(d, u, off);
	uint64_t end;

	for (int i = 0; i < MAX_EMPTY && next_range(&r, ret, &end); i++)
		if (*ret < end)
			return true;
	return false;
}

uint64_t range_list_offset(const struct dies *d, const struct die_unit *u, uint64_t index)
{
	uint64_t at;
	struct cursor c;

	if (__builtin_mul_overflow(index, u->offset_size, &at) ||
	    __builtin_add_overflow(at, u->rnglists_base, &at))
		return UINT64_MAX;
	c = cursor_at(d->sources[u->source].rnglists, at, u->offset_size);
	at = cursor_uint(&c, u->offset_size);
	return c.bad ? UINT64_MAX : u->rnglists_base + at;
}

struct err *dies_unit_ranges(const struct dies *d, const struct die_unit *u,
			     uint64_t *budget, unit_range_fn fn, void *arg)
{
	struct range_reader r;
	uint64_t start, end;

	if (!u->has_ranges)
		return u->high_pc > u->low_pc ? fn(arg, u->low_pc, u->high_pc) : NULL;
	r = range_reader(d, u, u->ranges);
	while (next_range(&r, &start, &end)) {
		if (!(*budget)--)
			return err_new(ERR_CORRUPT, "the range lists of units overlap");
		if (start < end)
			TRY(fn(arg, start, end));
	}
	return NULL;
}
