// SPDX-License-Identifier: LGPL-2.1-or-later
// Jump tables of position-independent code: 32-bit offsets from the table to instructions of the body.
#include <string.h>

#include <Zydis/Zydis.h>

#include "diff/decode.h"

enum {
	MAX_ENTRIES = 65536,
	WINDOW = 16, // instructions between the load of an entry and the jump
};

static bool has_indirect_jump(const struct body *b)
{
	vec_for_each(in, &b->insns) {
		if ((in->flags & INSN_JUMP) && (in->flags & INSN_INDIRECT) &&
		    in->ref == REF_NONE)
			return true;
	}
	return false;
}

static uint32_t entry_target(const struct decoding *d, vaddr_t table, uint32_t i)
{
	const uint8_t *p = module_bytes(d->m, table + (uint64_t)i * 4, 4);
	int32_t offset;

	if (!p)
		return UINT32_MAX;
	memcpy(&offset, p, 4);
	vaddr_t to = table + (uint64_t)(int64_t)offset;
	// Cases that cannot happen lead to a label behind the last instruction.
	vec_for_each(part, &d->b->parts) {
		if (part->n && to == part->addr + part->size)
			return part->first + part->n - 1;
	}
	return decoding_index(d, to);
}

static bool referenced_at(const struct body *b, vaddr_t addr)
{
	vec_for_each(in, &b->insns) {
		if ((in->flags & INSN_LEA) && in->target == addr)
			return true;
	}
	return false;
}

// The entries have no count in the file: a table ends where an entry leads elsewhere or where another
// of this body's tables begins. Tables of other bodies lead into those.
static struct err *read_table(struct decoding *d, uint32_t lea)
{
	struct body *b = d->b;
	struct insn *in = &b->insns.v[lea];
	struct jump_table t = {.addr = in->target,
			       .first = (uint32_t)b->table_targets.n,
			       .lea = lea,
			       .jump = UINT32_MAX};

	for (uint32_t i = 0; i < MAX_ENTRIES; i++) {
		uint32_t index = entry_target(d, t.addr, i);

		if (index == UINT32_MAX ||
		    (i && referenced_at(b, t.addr + (uint64_t)i * 4)))
			break;
		TRY(vec_push(&b->table_targets, index));
		t.n++;
	}
	if (!t.n)
		return NULL;
	in->ref = REF_TABLE;
	return vec_push(&b->tables, t);
}

struct registers {
	ZydisRegister to, base;
};

static bool decode_at(const struct decoding *d, const ZydisDecoder *z,
		      const struct insn *in, ZydisDecodedInstruction *i,
		      ZydisDecodedOperand *ops)
{
	const uint8_t *p = module_bytes(d->m, in->addr, in->len);

	return p && ZYAN_SUCCESS(ZydisDecoderDecodeFull(z, p, in->len, i, ops));
}

// For "jmp *Y" with "movslq (R,I,4),Y" before it: R, the register that holds the table.
static ZydisRegister table_register(const struct decoding *d, const ZydisDecoder *z,
				    uint32_t jump)
{
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction i;
	const struct insn *v = d->b->insns.v;

	for (uint32_t back = 1; back <= WINDOW && back <= jump; back++) {
		const struct insn *in = &v[jump - back];

		if (!decode_at(d, z, in, &i, ops))
			break;
		if (i.mnemonic == ZYDIS_MNEMONIC_MOVSXD &&
		    ops[1].type == ZYDIS_OPERAND_TYPE_MEMORY && ops[1].mem.scale == 4)
			return ops[1].mem.base;
	}
	return ZYDIS_REGISTER_NONE;
}

// The table whose address was taken into the register last before the jump; in code that hoists
// several, the only one with that register.
static void link_jump(const struct decoding *d, const ZydisDecoder *z, uint32_t jump)
{
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	ZydisRegister want = table_register(d, z, jump);
	struct jump_table *best = NULL;
	ZydisDecodedInstruction i;

	if (want == ZYDIS_REGISTER_NONE)
		return;
	vec_for_each(t, &d->b->tables) {
		if (!decode_at(d, z, &d->b->insns.v[t->lea], &i, ops) ||
		    ops[0].reg.value != want)
			continue;
		if (!best || (t->lea < jump && (best->lea > jump || t->lea > best->lea)))
			best = t;
	}
	if (best && best->jump == UINT32_MAX)
		best->jump = jump;
}

struct err *find_jump_tables(struct decoding *d)
{
	struct body *b = d->b;
	ZydisDecoder z;

	if (!has_indirect_jump(b))
		return NULL;
	for (uint32_t i = 0; i < b->insns.n; i++) {
		const struct insn *in = &b->insns.v[i];

		if (in->ref == REF_RODATA && (in->flags & INSN_LEA) && !(in->target & 3))
			TRY(read_table(d, i));
	}
	if (!b->tables.n)
		return NULL;
	ZydisDecoderInit(&z, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	for (uint32_t i = 0; i < b->insns.n; i++) {
		const struct insn *in = &b->insns.v[i];

		if ((in->flags & INSN_JUMP) && (in->flags & INSN_INDIRECT) &&
		    in->ref == REF_NONE)
			link_jump(d, &z, i);
	}
	return NULL;
}
