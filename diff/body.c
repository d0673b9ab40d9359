// SPDX-License-Identifier: LGPL-2.1-or-later
// Lookups in a decoded body.
#include "diff/body.h"

// The last instruction of the part that starts at or below addr.
static const struct insn *insn_below(const struct body *b, const struct body_part *p,
				     vaddr_t addr)
{
	size_t low = p->first, high = (size_t)p->first + p->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (b->insns.v[mid].addr <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low > p->first ? &b->insns.v[low - 1] : NULL;
}

uint32_t body_index(const struct body *b, vaddr_t addr)
{
	vec_for_each(p, &b->parts) {
		if (addr - p->addr >= p->size)
			continue;
		const struct insn *in = insn_below(b, p, addr);
		return in && in->addr == addr ? (uint32_t)(in - b->insns.v) : UINT32_MAX;
	}
	return UINT32_MAX;
}

uint32_t body_index_ending(const struct body *b, vaddr_t addr)
{
	vec_for_each(p, &b->parts) {
		if (addr - p->addr - 1 >= p->size)
			continue;
		const struct insn *in = insn_below(b, p, addr - 1);
		if (in && in->addr + in->len == addr)
			return (uint32_t)(in - b->insns.v);
	}
	return UINT32_MAX;
}
