// SPDX-License-Identifier: LGPL-2.1-or-later
// Range-checked reading of DWARF sections. After the first read outside the range `bad`
// is set and every further read gives 0, so that callers check once at the end of a
// record.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	const uint8_t *p;
	size_t n;
};

struct cursor {
	const uint8_t *p, *end;
	bool bad;
};

// A cursor over [off, off + len) of a section; bad from the start when that is outside of
// it.
static inline struct cursor cursor_at(struct bytes b, uint64_t off, uint64_t len)
{
	static const uint8_t nothing[1]; // a NULL must not be counted from, not even by 0
	struct cursor c = {nothing, nothing, true};

	if (!b.p || off > b.n || len > b.n - off)
		return c;
	c.p = b.p + off;
	c.end = c.p + len;
	c.bad = false;
	return c;
}

static inline struct cursor cursor_from(struct bytes b, uint64_t off)
{
	return cursor_at(b, off, off > b.n ? 0 : b.n - off);
}

static inline void cursor_fail(struct cursor *c)
{
	c->bad = true;
	c->p = c->end;
}

static inline bool cursor_has(struct cursor *c, uint64_t n)
{
	if ((uint64_t)(c->end - c->p) >= n)
		return true;
	cursor_fail(c);
	return false;
}

static inline void cursor_skip(struct cursor *c, uint64_t n)
{
	if (cursor_has(c, n))
		c->p += n;
}

// A little-endian number of n (1 to 8) bytes; others are damage.
static inline uint64_t cursor_uint(struct cursor *c, unsigned n)
{
	uint64_t v = 0;

	if (n > sizeof(v)) {
		cursor_fail(c);
		return 0;
	}
	if (!cursor_has(c, n))
		return 0;
	memcpy(&v, c->p, n);
	c->p += n;
	return v;
}

static inline uint64_t cursor_uleb(struct cursor *c)
{
	uint64_t v = 0;

	for (unsigned shift = 0; c->p < c->end; shift += 7) {
		uint8_t byte = *c->p++;

		if (shift < 64)
			v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return v;
	}
	cursor_fail(c);
	return 0;
}

static inline int64_t cursor_sleb(struct cursor *c)
{
	uint64_t v = 0;

	for (unsigned shift = 0; c->p < c->end;) {
		uint8_t byte = *c->p++;

		if (shift < 64)
			v |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
		if (byte & 0x80)
			continue;
		if (shift < 64 && (byte & 0x40))
			v |= ~(uint64_t)0 << shift;
		return (int64_t)v;
	}
	cursor_fail(c);
	return 0;
}

// A NUL-terminated string in place; NULL when it does not end inside the range.
static inline const char *cursor_string(struct cursor *c)
{
	const char *s = (const char *)c->p;
	const uint8_t *nul;

	if (c->p == c->end) {
		cursor_fail(c);
		return NULL;
	}
	nul = memchr(c->p, 0, (size_t)(c->end - c->p));
	if (!nul) {
		cursor_fail(c);
		return NULL;
	}
	c->p = nul + 1;
	return s;
}
