// SPDX-License-Identifier: LGPL-2.1-or-later
// Addresses that a program linked to fixed addresses has in its instructions: what they mean.
#include <string.h>

#include "diff/decode.h"
#include "diff/match.h"

enum { UNNAMED = 64 }; // bytes of data without a name that are looked at

bool is_absolute(const struct module *m, uint64_t value)
{
	return m->type == ET_EXEC && value && module_region(m, value) != REGION_NONE;
}

static uint64_t name_hash(const struct symbol *s, vaddr_t addr)
{
	return hash_mix(key_string(11, s->name), addr - s->addr);
}

// Tables of code addresses count by what they hold relative to the function.
static uint64_t data_hash(const struct decoding *d, vaddr_t addr)
{
	vaddr_t entry = d->b->parts.n ? d->b->parts.v[0].addr : 0;
	uint64_t h = 13, value;

	for (unsigned at = 0; at < UNNAMED; at += sizeof(value)) {
		const uint8_t *p = module_bytes(d->m, addr + at, sizeof(value));

		if (!p)
			break;
		memcpy(&value, p, sizeof(value));
		if (module_region(d->m, value) == REGION_TEXT)
			value -= entry;
		h = hash_mix(h, value);
	}
	return h;
}

uint64_t absolute_meaning(const struct decoding *d, uint64_t value)
{
	const struct module *m = d->m;
	const struct symbol *s = module_symbol_at(
		m, value, 1u << STT_OBJECT | 1u << STT_FUNC | 1u << STT_GNU_IFUNC);
	const uint8_t *p;
	vaddr_t slot;

	if (s)
		return name_hash(s, value);
	if (plt_entry_slot(m, value, &slot)) {
		const struct reloc *r = module_reloc_at(m, slot);

		return key_string(12, r->name);
	}
	// Text up to its NUL; anything else by its bytes.
	p = module_bytes(m, value, 1);
	if (module_region(m, value) == REGION_RODATA && p && *p >= 0x09 && *p < 0x7f) {
		uint64_t h = 14;

		for (; p && *p; p = module_bytes(m, ++value, 1))
			h = hash_mix(h, *p);
		return h;
	}
	return data_hash(d, value);
}
