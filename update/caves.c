// SPDX-License-Identifier: LGPL-2.1-or-later
// Padding between functions; see caves.h.
#include "update/caves.h"

#include <string.h>
#include <sys/param.h>

enum {
	REACH_DOWN = 128,
	REACH_UP = 127,
	ENTRY_LEN =
		9, // of a function's own jump, endbr64 included, which may use the padding behind it
	PREFIXES_MAX = 12,
};

// Length of the NOP at p, 0 when it is none (Intel SDM, NOP; assemblers put 66 and 2e in front).
static size_t nop_length(const uint8_t *p, size_t n)
{
	size_t i = 0;

	if (!n || p[0] == 0xcc || p[0] == 0)
		return n > 0;
	while (i < n && i < PREFIXES_MAX && (p[i] == 0x66 || p[i] == 0x2e))
		i++;
	if (i < n && p[i] == 0x90)
		return i + 1;
	if (i + 2 >= n || p[i] != 0x0f || p[i + 1] != 0x1f)
		return 0;
	uint8_t modrm = p[i + 2], mod = modrm >> 6, rm = modrm & 7;
	if (mod == 3 || (mod == 0 && rm == 5) || (modrm >> 3 & 7))
		return 0;
	i += 3 + (rm == 4) + (mod == 1 ? 1 : mod == 2 ? 4 : 0);
	return i <= n ? i : 0;
}

static bool is_padding(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t len = nop_length(p + i, n - i);

		if (!len)
			return false;
		i += len;
	}
	return true;
}

static bool is_used(const struct plan *p, taddr_t at)
{
	vec_for_each(patch, &p->patches)
		if (patch->addr < at + CAVE_LEN && at < patch->addr + patch->len)
			return true;
	return false;
}

// A place in the gap [from, to) between two functions.
static vaddr_t place_in(const struct plan *p, vaddr_t from, vaddr_t to, vaddr_t lo,
			vaddr_t hi)
{
	const uint8_t *pad = module_bytes(p->subject->old, from, to - from);

	if (!pad || !is_padding(pad, to - from))
		return 0;
	for (vaddr_t at = MAX(from, lo); at + CAVE_LEN <= to && at <= hi; at++)
		if (!is_used(p, subject_base(p->subject) + at) &&
		    !module_fde_at(p->subject->old, at) &&
		    !module_fde_at(p->subject->old, at + CAVE_LEN - 1))
			return at;
	return 0;
}

vaddr_t cave_find(const struct plan *p, vaddr_t from)
{
	const struct module *old = p->subject->old;
	vaddr_t lo = from - MIN(from, REACH_DOWN), hi = from + REACH_UP, end = 0;

	vec_for_each(sym, &old->symbols) {
		if (sym->region != REGION_TEXT)
			continue;
		if (end && sym->addr > end && sym->addr > lo && end <= hi &&
		    sym->addr - end < 4096) {
			vaddr_t at = place_in(p, end, sym->addr, lo, hi);
			if (at)
				return at;
		}
		// Behind code without a size (assembly) nobody knows what is padding.
		end = sym->size ? MAX(end, sym->addr + MAX(sym->size, ENTRY_LEN)) : 0;
	}
	return 0;
}

taddr_t cave_of_jump(pid_t pid, taddr_t at, taddr_t leads_to)
{
	uint8_t entry[SHORT_JUMP_LEN], jump[CAVE_LEN];
	int32_t rel;
	struct err *e = mem_read(pid, at, entry, sizeof(entry));
	taddr_t cave = at + SHORT_JUMP_LEN + (uint64_t)(int64_t)(int8_t)entry[1];

	if (!e && entry[0] != 0xeb)
		return 0;
	if (!e)
		e = mem_read(pid, cave, jump, sizeof(jump));
	if (e) {
		err_free(e);
		return 0;
	}
	memcpy(&rel, jump + 1, sizeof(rel));
	return jump[0] == 0xe9 && cave + CAVE_LEN + (uint64_t)(int64_t)rel == leads_to
		       ? cave
		       : 0;
}
