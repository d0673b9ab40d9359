// SPDX-License-Identifier: LGPL-2.1-or-later
// Decodes the body of a function with Zydis, and hashes each instruction with references masked.
#include "diff/decode.h"

#include <string.h>

#include <Zydis/Zydis.h>

#include "util/cleanup.h"

struct raw {
	const uint8_t *p;
	ZydisDecoderContext ctx;
	ZydisDecodedInstruction z;
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	bool has_ops;
};

uint64_t hash_mix(uint64_t a, uint64_t b)
{
	__uint128_t p = (__uint128_t)(a ^ 0x9e3779b97f4a7c15u) * (b ^ 0xd6e8feb86659fd93u);

	return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static bool is_nop(const struct raw *r)
{
	// 66 90 is "xchg %ax,%ax" by the book and a NOP by use.
	return r->z.mnemonic == ZYDIS_MNEMONIC_NOP ||
	       (r->z.length == 2 && r->p[0] == 0x66 && r->p[1] == 0x90);
}

static bool rip_relative(const ZydisDecodedInstruction *z)
{
	return (z->attributes & ZYDIS_ATTRIB_HAS_MODRM) && z->raw.modrm.mod == 0 &&
	       z->raw.modrm.rm == 5 && z->raw.disp.size == 32 &&
	       !(z->attributes & ZYDIS_ATTRIB_HAS_ADDRESSSIZE);
}

static bool has_imm(const ZydisDecodedInstruction *z)
{
	return z->raw.imm[0].size && !z->raw.imm[0].is_relative;
}

static void decode_operands(const ZydisDecoder *d, struct raw *r)
{
	if (r->has_ops)
		return;
	r->has_ops = ZYAN_SUCCESS(ZydisDecoderDecodeOperands(d, &r->ctx, &r->z, r->ops,
							     r->z.operand_count));
	if (!r->has_ops)
		r->z.operand_count = 0;
}

static uint64_t hash_bytes(const struct raw *r, bool mask_disp, bool mask_imm)
{
	const ZydisDecodedInstruction *z = &r->z;
	uint64_t w[2] = {0, 0};
	uint8_t *b = (uint8_t *)w;

	memcpy(b, r->p, z->length);
	if (mask_disp)
		memset(b + z->raw.disp.offset, 0, 4);
	if (mask_imm) {
		for (int i = 0; i < 2; i++)
			memset(b + z->raw.imm[i].offset, 0, z->raw.imm[i].size / 8);
	}
	b[15] = z->length;
	return hash_mix(hash_mix(w[0], 1), w[1]);
}

// By meaning and not by bytes, so that one number in two encodings (imm8, imm32) differs in the
// immediate only.
static uint64_t hash_operands(const struct raw *r, bool rip)
{
	const uint64_t encoding = ZYDIS_ATTRIB_HAS_REX | ZYDIS_ATTRIB_HAS_MODRM |
				  ZYDIS_ATTRIB_HAS_SIB | ZYDIS_ATTRIB_HAS_OPERANDSIZE;
	uint64_t h = hash_mix(r->z.mnemonic, r->z.attributes & ~encoding);

	for (unsigned i = 0; i < r->z.operand_count_visible; i++) {
		const ZydisDecodedOperand *o = &r->ops[i];

		if (o->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
			h = hash_mix(h, o->type);
			continue;
		}
		h = hash_mix(h, (uint64_t)o->type << 16 | o->size);
		if (o->type == ZYDIS_OPERAND_TYPE_REGISTER) {
			h = hash_mix(h, o->reg.value);
		} else if (o->type == ZYDIS_OPERAND_TYPE_MEMORY) {
			h = hash_mix(h, (uint64_t)o->mem.segment << 32 |
						(uint64_t)o->mem.base << 16 |
						(uint64_t)o->mem.index);
			h = hash_mix(h, (uint64_t)o->mem.scale << 8 | o->mem.type);
			if (!rip)
				h = hash_mix(h, (uint64_t)o->mem.disp.value);
		}
	}
	return h;
}

static void hash_insn(const ZydisDecoder *d, struct raw *r, struct insn *in, bool rip)
{
	const ZydisDecodedInstruction *z = &r->z;

	if (z->raw.imm[0].is_relative) {
		const uint64_t kept = ZYDIS_ATTRIB_HAS_BND | ZYDIS_ATTRIB_HAS_NOTRACK |
				      ZYDIS_ATTRIB_HAS_BRANCH_TAKEN |
				      ZYDIS_ATTRIB_HAS_BRANCH_NOT_TAKEN;

		in->hash = in->hash_noimm = hash_mix(z->mnemonic, z->attributes & kept);
		return;
	}
	if (!has_imm(z)) {
		in->hash = in->hash_noimm = hash_bytes(r, rip, false);
		return;
	}
	if (z->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY) {
		in->hash = hash_bytes(r, rip, false);
		in->hash_noimm = hash_bytes(r, rip, true);
		return;
	}
	decode_operands(d, r);
	in->hash_noimm = hash_operands(r, rip);
	in->hash = hash_mix(hash_mix(in->hash_noimm, z->raw.imm[0].value.u),
			    z->raw.imm[1].size ? z->raw.imm[1].value.u : 0);
}

// The meaning of fixed addresses takes the place of their value in the hashes.
static void hash_absolute(const struct decoding *d, const ZydisDecoder *z, struct raw *r,
			  struct insn *in, bool rip)
{
	bool disp = !rip && r->z.raw.disp.size == 32 &&
		    is_absolute(d->m, (uint32_t)r->z.raw.disp.value);
	bool imm = has_imm(&r->z) && r->z.raw.imm[0].size >= 32 &&
		   is_absolute(d->m, r->z.raw.imm[0].value.u);

	if (!disp && !imm)
		return;
	decode_operands(z, r);
	in->hash_noimm = hash_operands(r, rip || disp);
	in->hash = in->hash_noimm;
	if (disp)
		in->hash = hash_mix(in->hash,
				    absolute_meaning(d, (uint32_t)r->z.raw.disp.value));
	if (imm)
		in->hash =
			hash_mix(in->hash, absolute_meaning(d, r->z.raw.imm[0].value.u));
	else if (has_imm(&r->z))
		in->hash = hash_mix(in->hash, r->z.raw.imm[0].value.u);
}

static uint16_t flags_of(const ZydisDecodedInstruction *z)
{
	bool direct = z->raw.imm[0].is_relative;

	switch ((int)z->meta.category) {
	case ZYDIS_CATEGORY_CALL:
		return (uint16_t)(INSN_CALL | (direct ? 0 : INSN_INDIRECT));
	case ZYDIS_CATEGORY_UNCOND_BR:
		return (uint16_t)(INSN_JUMP | (direct ? 0 : INSN_INDIRECT));
	case ZYDIS_CATEGORY_COND_BR:
		return INSN_COND;
	case ZYDIS_CATEGORY_RET:
		return INSN_RET;
	case ZYDIS_CATEGORY_SYSCALL:
		return INSN_SYSCALL;
	default:
		break;
	}
	switch ((int)z->mnemonic) {
	case ZYDIS_MNEMONIC_UD0:
	case ZYDIS_MNEMONIC_UD1:
	case ZYDIS_MNEMONIC_UD2:
	case ZYDIS_MNEMONIC_HLT:
	case ZYDIS_MNEMONIC_INT3:
		return INSN_STOP;
	case ZYDIS_MNEMONIC_INT:
		return INSN_SYSCALL;
	default:
		return 0;
	}
}

static void read_memory_operand(const ZydisDecoder *d, struct raw *r, struct insn *in)
{
	decode_operands(d, r);
	for (unsigned i = 0; i < r->z.operand_count; i++) {
		const ZydisDecodedOperand *o = &r->ops[i];

		if (o->type != ZYDIS_OPERAND_TYPE_MEMORY ||
		    o->mem.base != ZYDIS_REGISTER_RIP)
			continue;
		if (o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
			in->flags |= INSN_WRITE;
		unsigned bytes = o->size / 8;
		if (o->mem.type == ZYDIS_MEMOP_TYPE_AGEN || !bytes)
			in->flags |= INSN_LEA;
		else
			in->access = (uint8_t)(bytes > UINT8_MAX ? UINT8_MAX : bytes);
		return;
	}
}

static struct insn make_insn(const struct decoding *what, const ZydisDecoder *d,
			     struct raw *r, vaddr_t addr)
{
	const ZydisDecodedInstruction *z = &r->z;
	struct insn in = {.addr = addr, .len = z->length, .flags = flags_of(z)};
	bool rip = rip_relative(z);

	in.target_index = UINT32_MAX;
	hash_insn(d, r, &in, rip);
	if (what->m->type == ET_EXEC && !z->raw.imm[0].is_relative)
		hash_absolute(what, d, r, &in, rip);
	if (z->raw.imm[0].is_relative) {
		in.disp_off = z->raw.imm[0].offset;
		in.disp_size = z->raw.imm[0].size / 8;
		in.target = addr + z->length + (uint64_t)z->raw.imm[0].value.s;
		in.ref = REF_ABS;
	} else if (rip) {
		in.disp_off = z->raw.disp.offset;
		in.disp_size = 4;
		in.target = addr + z->length + (uint64_t)z->raw.disp.value;
		in.ref = REF_ABS;
		read_memory_operand(d, r, &in);
	}
	if (has_imm(z)) {
		in.imm_off = z->raw.imm[0].offset;
		in.imm_size = z->raw.imm[0].size / 8;
	}
	return in;
}

static struct err *decode_part(struct decoding *d, const ZydisDecoder *z,
			       struct body_part *part, uint32_t *starts)
{
	const uint8_t *p = module_bytes(d->m, part->addr, part->size);
	struct body *b = d->b;

	part->first = (uint32_t)b->insns.n;
	for (uint64_t at = 0; at < part->size;) {
		struct raw r = {.p = p + at};

		if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(z, &r.ctx, r.p,
								part->size - at, &r.z))) {
			b->undecodable = true;
			break;
		}
		starts[at] = (uint32_t)b->insns.n;
		if (!is_nop(&r)) {
			struct insn in = make_insn(d, z, &r, part->addr + at);

			TRY(vec_push(&b->insns, in));
		}
		at += r.z.length;
	}
	part->n = (uint32_t)b->insns.n - part->first;
	return NULL;
}

uint32_t decoding_index(const struct decoding *d, vaddr_t addr)
{
	size_t base = 0;

	vec_for_each(p, &d->b->parts) {
		if (addr - p->addr < p->size) {
			uint32_t i = d->starts[base + (addr - p->addr)];

			return i - p->first < p->n ? i : UINT32_MAX;
		}
		base += p->size;
	}
	return UINT32_MAX;
}

bool decoding_covers(const struct decoding *d, vaddr_t addr)
{
	vec_for_each(p, &d->b->parts) {
		if (addr - p->addr < p->size)
			return true;
	}
	return false;
}

struct err *body_decode(const struct module *m, struct body *b)
{
	enum { MAX_BODY = 1 << 28 };
	_cleanup_free_ uint32_t *starts = NULL;
	struct decoding d = {.m = m, .b = b};
	ZydisDecoder z;
	size_t at = 0;

	vec_for_each(p, &b->parts) {
		if (p->size > MAX_BODY)
			return err_new(ERR_CORRUPT, "function at 0x%lx has %lu bytes",
				       (unsigned long)p->addr, (unsigned long)p->size);
		if (!module_bytes(m, p->addr, p->size)) {
			b->undecodable = true;
			return NULL;
		}
		d.n_starts += p->size;
	}
	starts = malloc(d.n_starts ? d.n_starts * sizeof(*starts) : 1);
	if (!starts)
		return err_nomem();
	memset(starts, 0xff, d.n_starts * sizeof(*starts));
	d.starts = starts;
	TRY(vec_reserve(&b->insns, d.n_starts / 4 + 4));
	ZydisDecoderInit(&z, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	vec_for_each(p, &b->parts) {
		TRY(decode_part(&d, &z, p, starts + at));
		at += p->size;
	}
	TRY(classify_references(&d));
	return find_jump_tables(&d);
}

void body_deinit(struct body *b)
{
	vec_free(&b->parts);
	vec_free(&b->insns);
	vec_free(&b->tables);
	vec_free(&b->table_targets);
}
