// SPDX-License-Identifier: LGPL-2.1-or-later
// A bounded reader for DWARF's encodings: reading past the end gives zeros and sets
// `bad`.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "util/types.h"

struct rd {
	const uint8_t *p, *end;
	bool bad;
};

static inline uint64_t rd_uint(struct rd *r, unsigned size)
{
	uint64_t v = 0;

	if (r->bad || (size_t)(r->end - r->p) < size) {
		r->bad = true;
		return 0;
	}
	memcpy(&v, r->p, size);
	r->p += size;
	return v;
}

static inline int64_t rd_sint(struct rd *r, unsigned size)
{
	unsigned shift = 64 - 8 * size;

	return (int64_t)(rd_uint(r, size) << shift) >> shift;
}

static inline uint64_t rd_uleb(struct rd *r)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 70; shift += 7) {
		uint8_t b = (uint8_t)rd_uint(r, 1);

		if (shift < 64)
			v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return v;
	}
	r->bad = true;
	return 0;
}

static inline int64_t rd_sleb(struct rd *r)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 70; shift += 7) {
		uint8_t b = (uint8_t)rd_uint(r, 1);

		if (shift < 64)
			v |= (uint64_t)(b & 0x7f) << shift;
		if (b & 0x80)
			continue;
		if ((b & 0x40) && shift + 7 < 64)
			v |= ~0ULL << (shift + 7);
		return (int64_t)v;
	}
	r->bad = true;
	return 0;
}

// A block of `len` bytes, NULL when it does not fit.
static inline const uint8_t *rd_block(struct rd *r, uint64_t len)
{
	const uint8_t *p = r->p;

	if (r->bad || (uint64_t)(r->end - r->p) < len) {
		r->bad = true;
		return NULL;
	}
	r->p += len;
	return p;
}

enum { // pointer encodings of .eh_frame (LSB Core, 10.5)
	PE_ABSPTR = 0x00,
	PE_ULEB = 0x01,
	PE_UDATA2 = 0x02,
	PE_UDATA4 = 0x03,
	PE_UDATA8 = 0x04,
	PE_SLEB = 0x09,
	PE_SDATA2 = 0x0a,
	PE_SDATA4 = 0x0b,
	PE_SDATA8 = 0x0c,
	PE_FORMAT = 0x0f,
	PE_PCREL = 0x10,
	PE_APPLICATION = 0x70,
	PE_INDIRECT = 0x80,
	PE_OMIT = 0xff,
};

// The value alone, without what its application adds.
static inline uint64_t rd_encoded_raw(struct rd *r, uint8_t enc)
{
	switch (enc & PE_FORMAT) {
	case PE_ABSPTR:
	case PE_UDATA8:
	case PE_SDATA8:
		return rd_uint(r, 8);
	case PE_ULEB:
		return rd_uleb(r);
	case PE_UDATA2:
		return rd_uint(r, 2);
	case PE_UDATA4:
		return rd_uint(r, 4);
	case PE_SLEB:
		return (uint64_t)rd_sleb(r);
	case PE_SDATA2:
		return (uint64_t)rd_sint(r, 2);
	case PE_SDATA4:
		return (uint64_t)rd_sint(r, 4);
	default:
		r->bad = true;
		return 0;
	}
}

// An encoded address; `addr` is the vaddr of r->p. Only absolute and pc-relative ones
// exist in .eh_frame.
static inline vaddr_t rd_encoded(struct rd *r, uint8_t enc, vaddr_t addr)
{
	uint64_t v = rd_encoded_raw(r, enc);

	if (enc & PE_INDIRECT)
		r->bad = true;
	if ((enc & PE_APPLICATION) == PE_PCREL)
		return v + addr;
	if (enc & PE_APPLICATION)
		r->bad = true;
	return v;
}
