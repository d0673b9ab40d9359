// SPDX-License-Identifier: LGPL-2.1-or-later
// What each reference of an instruction leads to (enum ref_kind).
#include <string.h>

#include "diff/decode.h"

static bool is_got_reloc(const struct reloc *r)
{
	if (!r)
		return false;
	switch (r->type) {
	case R_X86_64_GLOB_DAT:
	case R_X86_64_JUMP_SLOT:
	case R_X86_64_TPOFF64:
	case R_X86_64_DTPMOD64:
	case R_X86_64_DTPOFF64:
	case R_X86_64_TLSDESC:
	case R_X86_64_IRELATIVE:
		return true;
	default:
		return false;
	}
}

bool plt_entry_slot(const struct module *m, vaddr_t addr, vaddr_t *slot)
{
	static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
	const uint8_t *p = module_bytes(m, addr, 6);
	int32_t disp;

	if (p && !memcmp(p, endbr64, 4)) {
		addr += 4;
		p = module_bytes(m, addr, 6);
	}
	if (p && p[0] == 0xf2) { // bnd
		addr++;
		p = module_bytes(m, addr, 6);
	}
	if (!p || p[0] != 0xff || p[1] != 0x25)
		return false;
	memcpy(&disp, p + 2, 4);
	*slot = addr + 6 + (uint64_t)(int64_t)disp;
	return is_got_reloc(module_reloc_at(m, *slot));
}

static void classify_branch(const struct decoding *d, struct insn *in)
{
	vaddr_t slot, entry = d->b->parts.n ? d->b->parts.v[0].addr : 0;
	uint32_t index = decoding_index(d, in->target);

	if (in->target - entry - 1 < 8) // the jump may stand behind an endbr64
		d->b->branches_into_entry = true;
	if (index != UINT32_MAX) {
		in->ref = REF_BRANCH;
		in->target_index = index;
	} else if (decoding_covers(d, in->target) ||
		   module_region(d->m, in->target) != REGION_TEXT) {
		in->ref = REF_ABS;
	} else if (plt_entry_slot(d->m, in->target, &slot)) {
		in->ref = REF_PLT;
	} else {
		in->ref = REF_CODE;
	}
}

static bool named_object(const struct module *m, vaddr_t addr)
{
	return module_symbol_at(m, addr, 1u << STT_OBJECT | 1u << STT_COMMON);
}

static uint8_t data_kind(const struct decoding *d, const struct insn *in)
{
	switch (module_region(d->m, in->target)) {
	case REGION_TEXT:
		if (!(in->flags & INSN_LEA))
			return REF_RODATA;
		// Without named or framed code there it is data that the assembler put into .text.
		return REF_CODE;
	case REGION_RODATA:
		return named_object(d->m, in->target) ? REF_DATA : REF_RODATA;
	case REGION_RELRO:
	case REGION_DATA:
		if (!(in->flags & INSN_LEA) &&
		    is_got_reloc(module_reloc_at(d->m, in->target)))
			return REF_GOT;
		return REF_DATA;
	case REGION_BSS:
		return REF_DATA;
	case REGION_TLS:
	case REGION_NONE:
		break;
	}
	// One past the last object, or a biased pointer into a gap between two segments.
	return in->target && in->target <= d->m->span ? REF_DATA : REF_ABS;
}

struct err *classify_references(struct decoding *d)
{
	vec_for_each(in, &d->b->insns) {
		if (in->ref == REF_NONE)
			continue;
		if ((in->flags & (INSN_CALL | INSN_JUMP | INSN_COND)) &&
		    !(in->flags & INSN_INDIRECT)) {
			classify_branch(d, in);
			continue;
		}
		in->ref = data_kind(d, in);
		// A label's address (computed goto) stays inside; the entry's is that of a function.
		uint32_t index = in->ref == REF_CODE ? decoding_index(d, in->target) : 0;
		if (in->ref == REF_CODE && index && index != UINT32_MAX) {
			in->ref = REF_BRANCH;
			in->target_index = index;
		}
	}
	return NULL;
}
