// SPDX-License-Identifier: LGPL-2.1-or-later
// FNV-1a of 64 bits: recognises, does not protect.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define HASH_START 0xcbf29ce484222325u

// The hash of what `h` is the hash of, with these bytes behind it.
static inline uint64_t hash_bytes(uint64_t h, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 0x100000001b3u;
	return h;
}
