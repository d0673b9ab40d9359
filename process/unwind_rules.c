// SPDX-License-Identifier: LGPL-2.1-or-later
// The cache of unwinding rules by pc: what a rehearsal looked up costs a hash probe in
// the stop.
#include <stdlib.h>
#include <string.h>

#include "process/memory.h"
#include "process/unwind_internal.h"

enum { CACHE_MAX = 1 << 15, CACHE_SLOTS = 1 << 10 };

static size_t hash_pc(taddr_t pc, size_t nslots)
{
	return (size_t)((pc * 0x9e3779b97f4a7c15ULL) >> 20) & (nslots - 1);
}

// The slot of pc, or the free one where it belongs.
static uint32_t *find_slot(const struct unwinder *u, taddr_t pc)
{
	size_t i = hash_pc(pc, u->nslots);

	while (u->slots[i] && u->cache.v[u->slots[i] - 1].pc != pc)
		i = (i + 1) & (u->nslots - 1);
	return &u->slots[i];
}

static bool grow_slots(struct unwinder *u)
{
	size_t n = u->nslots ? u->nslots * 2 : CACHE_SLOTS;
	uint32_t *slots;

	if (u->nslots && u->cache.n * 2 < u->nslots)
		return true;
	slots = calloc(n, sizeof(*slots));
	if (!slots)
		return false;
	free(u->slots);
	u->slots = slots;
	u->nslots = n;
	for (size_t i = 0; i < u->cache.n; i++)
		*find_slot(u, u->cache.v[i].pc) = (uint32_t)i + 1;
	return true;
}

void unwinder_forget_rules(struct unwinder *u)
{
	u->cache.n = 0;
	if (u->slots)
		memset(u->slots, 0, u->nslots * sizeof(*u->slots));
}

// A return trampoline without call frame information (musl, old libraries), known by its
// two instructions as gdb does: rsp points at the ucontext that the kernel wrote.
static bool trampoline_row(const struct unwinder *u, taddr_t pc, struct cfi_row *ret)
{
	static const uint8_t code[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
	static const uint8_t order[] = {8,	 9,	  10,	   11,	    12,
					13,	 14,	  15,	   CFI_RDI, CFI_RSI,
					CFI_RBP, CFI_RBX, CFI_RDX, CFI_RAX, CFI_RCX,
					CFI_RSP, CFI_RIP};
	enum { GREGS = 40 }; // offset of uc_mcontext in struct ucontext
	uint8_t bytes[sizeof(code)];
	struct err *e = mem_read(u->pid, pc, bytes, sizeof(bytes));

	err_free(e);
	if (e || memcmp(bytes, code, sizeof(code)) != 0)
		return false;
	*ret = (struct cfi_row){.cfa = {.kind = CFI_REGISTER, .reg = CFI_RSP},
				.signal_frame = true};
	for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
		ret->reg[order[i]] = (struct cfi_rule){.kind = CFI_OFFSET,
						       .offset = GREGS + 8 * (int)i};
	return true;
}

const struct rules *unwinder_rules(struct unwinder *u, taddr_t pc, bool exact)
{
	struct rules *r;
	struct err *e;
	uint32_t *slot;

	if (u->cache.n >= CACHE_MAX)
		unwinder_forget_rules(u);
	if (!grow_slots(u))
		return NULL;
	slot = find_slot(u, pc);
	if (*slot)
		return &u->cache.v[*slot - 1];
	e = vec_push(&u->cache, (struct rules){.pc = pc});
	if (e) {
		err_free(e);
		return NULL;
	}
	*slot = (uint32_t)u->cache.n;
	r = &u->cache.v[u->cache.n - 1];
	r->entry = unwinder_entry_at(u, pc);
	r->found = r->entry && cfi_find(r->entry->cfi, pc - r->entry->m.base, &r->row);
	if (!r->found && exact)
		r->found = trampoline_row(u, pc, &r->row);
	return r;
}
