// SPDX-License-Identifier: LGPL-2.1-or-later
// What each instruction of a body reads and writes.
#include <Zydis/Zydis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "diff/flow_internal.h"

// A register as a bit of struct locs.regs; 0 for those that do not matter here (rip, segments, rsp).
static uint64_t loc_of(ZydisRegister reg)
{
	ZydisRegister large =
		ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
	ZyanI8 id;

	switch ((unsigned)ZydisRegisterGetClass(reg)) { // few of many
	case ZYDIS_REGCLASS_GPR8:
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		id = ZydisRegisterGetId(large);
		return id >= 0 && id < 16 && id != GPR_RSP ? LOC(id) : 0;
	case ZYDIS_REGCLASS_XMM:
	case ZYDIS_REGCLASS_YMM:
	case ZYDIS_REGCLASS_ZMM:
		id = ZydisRegisterGetId(reg);
		return id >= 0 && id < 32 ? LOC(LOC_VECTOR + id) : 0;
	case ZYDIS_REGCLASS_X87:
	case ZYDIS_REGCLASS_MMX:
		return LOC(LOC_X87);
	case ZYDIS_REGCLASS_MASK:
		return LOC(LOC_MASK);
	case ZYDIS_REGCLASS_INVALID: // no base, no index
	case ZYDIS_REGCLASS_IP:
	case ZYDIS_REGCLASS_SEGMENT:
	case ZYDIS_REGCLASS_FLAGS: // taken from the flags' own masks
		return 0;
	default:
		return LOC(LOC_OTHER);
	}
}

// Writes that leave nothing of the old value. Scalar SSE keeps the upper half.
static bool writes_whole(const ZydisDecodedInstruction *insn,
			 const ZydisDecodedOperand *op)
{
	if (op->actions & ZYDIS_OPERAND_ACTION_CONDWRITE)
		return false;
	switch ((unsigned)ZydisRegisterGetClass(op->reg.value)) {
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		return true;
	case ZYDIS_REGCLASS_XMM:
	case ZYDIS_REGCLASS_YMM:
	case ZYDIS_REGCLASS_ZMM:
		break;
	default:
		return false;
	}
	if (insn->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return insn->avx.mask.mode == ZYDIS_MASK_MODE_DISABLED ||
		       insn->avx.mask.mode == ZYDIS_MASK_MODE_INVALID;
	switch ((unsigned)insn->mnemonic) {
	case ZYDIS_MNEMONIC_MOVAPS:
	case ZYDIS_MNEMONIC_MOVAPD:
	case ZYDIS_MNEMONIC_MOVUPS:
	case ZYDIS_MNEMONIC_MOVUPD:
	case ZYDIS_MNEMONIC_MOVDQA:
	case ZYDIS_MNEMONIC_MOVDQU:
	case ZYDIS_MNEMONIC_MOVD:
	case ZYDIS_MNEMONIC_MOVQ:
	case ZYDIS_MNEMONIC_PXOR:
	case ZYDIS_MNEMONIC_XORPS:
	case ZYDIS_MNEMONIC_XORPD:
	case ZYDIS_MNEMONIC_PSHUFD:
		return true;
	default:
		return false;
	}
}

static void add_register(struct facts *f, const ZydisDecodedInstruction *insn,
			 const ZydisDecodedOperand *op)
{
	uint64_t loc = loc_of(op->reg.value);

	if (op->actions & ZYDIS_OPERAND_ACTION_MASK_READ)
		f->use |= loc;
	if (!(op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
		return;
	if (writes_whole(insn, op))
		f->kill |= loc;
	else
		f->part |= loc;
}

static void add_flags(struct facts *f, const ZydisDecodedInstruction *insn)
{
	const ZydisAccessedFlags *a = insn->cpu_flags;
	const ZydisAccessedFlagsMask status = ZYDIS_CPUFLAG_CF | ZYDIS_CPUFLAG_PF |
					      ZYDIS_CPUFLAG_AF | ZYDIS_CPUFLAG_ZF |
					      ZYDIS_CPUFLAG_SF | ZYDIS_CPUFLAG_OF;
	ZydisAccessedFlagsMask written;

	if (!a)
		return;
	written = a->modified | a->set_0 | a->set_1 | a->undefined;
	if (a->tested & (status | ZYDIS_CPUFLAG_DF))
		f->use |= LOC(LOC_FLAGS);
	if ((written & status) == status)
		f->kill |= LOC(LOC_FLAGS);
	else if (written & (status | ZYDIS_CPUFLAG_DF))
		f->part |= LOC(LOC_FLAGS);
}

static bool is_reg(const ZydisDecodedOperand *op, ZydisRegister reg)
{
	return op->type == ZYDIS_OPERAND_TYPE_REGISTER && op->reg.value == reg;
}

static void add_memory(struct facts *f, const ZydisDecodedOperand *op)
{
	struct access a = {.base = BASE_OTHER, .size = op->size / 8};

	f->use |= loc_of(op->mem.base) | loc_of(op->mem.index);
	if (op->mem.segment == ZYDIS_REGISTER_FS || op->mem.segment == ZYDIS_REGISTER_GS)
		a.base = BASE_OTHER;
	else if (op->mem.base == ZYDIS_REGISTER_RSP)
		a.base = BASE_RSP;
	else if (op->mem.base == ZYDIS_REGISTER_RBP)
		a.base = BASE_RBP;
	a.indexed = op->mem.index != ZYDIS_REGISTER_NONE;
	a.disp = op->mem.disp.has_displacement ? (int32_t)op->mem.disp.value : 0;
	a.lea = op->mem.type == ZYDIS_MEMOP_TYPE_AGEN;
	a.read = !a.lea && (op->actions & ZYDIS_OPERAND_ACTION_MASK_READ);
	a.write = !a.lea && (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE);
	if (f->nmem < ACCESS_MAX)
		f->mem[f->nmem++] = a;
}

static void set_effect(struct facts *f, enum stack_effect effect, int64_t delta)
{
	bool fits = delta > INT32_MIN / 4 && delta < INT32_MAX / 4;

	f->effect = (uint8_t)(fits ? effect : EFFECT_RSP_LOST);
	f->delta = fits ? (int32_t)delta : 0;
}

// A push or a pop: its place on the stack is relative to rsp before it.
static void stack_access(struct facts *f, int32_t disp, uint32_t size, bool write)
{
	if (f->nmem < ACCESS_MAX)
		f->mem[f->nmem++] = (struct access){.base = BASE_RSP,
						    .read = !write,
						    .write = write,
						    .disp = disp,
						    .size = size};
}

static void add_pop(struct facts *f, const ZydisDecodedOperand *op)
{
	uint32_t size = op->size / 8;

	if (op->type ==
	    ZYDIS_OPERAND_TYPE_MEMORY) // its address counts from rsp after the pop
		set_effect(f, EFFECT_RSP_LOST, 0);
	else if (is_reg(op, ZYDIS_REGISTER_RSP))
		set_effect(f, EFFECT_RSP_LOST, 0);
	else if (is_reg(op, ZYDIS_REGISTER_RBP))
		set_effect(f, EFFECT_POP_RBP, size);
	else
		set_effect(f, EFFECT_ADD, size);
	stack_access(f, 0, size, false);
}

static void write_to_rsp(struct facts *f, const ZydisDecodedInstruction *insn,
			 const ZydisDecodedOperand *ops)
{
	bool imm = ops[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;

	if (insn->mnemonic == ZYDIS_MNEMONIC_SUB && imm)
		set_effect(f, EFFECT_ADD, -ops[1].imm.value.s);
	else if (insn->mnemonic == ZYDIS_MNEMONIC_ADD && imm)
		set_effect(f, EFFECT_ADD, ops[1].imm.value.s);
	else if (insn->mnemonic == ZYDIS_MNEMONIC_MOV &&
		 is_reg(&ops[1], ZYDIS_REGISTER_RBP))
		set_effect(f, EFFECT_RSP_FROM_RBP, 0);
	else if (insn->mnemonic == ZYDIS_MNEMONIC_LEA &&
		 ops[1].mem.index == ZYDIS_REGISTER_NONE &&
		 ops[1].mem.base == ZYDIS_REGISTER_RSP)
		set_effect(f, EFFECT_ADD, ops[1].mem.disp.value);
	else if (insn->mnemonic == ZYDIS_MNEMONIC_LEA &&
		 ops[1].mem.index == ZYDIS_REGISTER_NONE &&
		 ops[1].mem.base == ZYDIS_REGISTER_RBP)
		set_effect(f, EFFECT_RSP_FROM_RBP, ops[1].mem.disp.value);
	else
		set_effect(f, EFFECT_RSP_LOST, 0);
	if (insn->mnemonic == ZYDIS_MNEMONIC_LEA) // moves the stack, takes no address
		f->nmem = 0;
}

static void write_to_rbp(struct facts *f, const ZydisDecodedInstruction *insn,
			 const ZydisDecodedOperand *ops)
{
	if (insn->mnemonic == ZYDIS_MNEMONIC_MOV && is_reg(&ops[1], ZYDIS_REGISTER_RSP)) {
		set_effect(f, EFFECT_RBP_FROM_RSP, 0);
	} else if (insn->mnemonic == ZYDIS_MNEMONIC_LEA &&
		   ops[1].mem.index == ZYDIS_REGISTER_NONE &&
		   ops[1].mem.base == ZYDIS_REGISTER_RSP) {
		set_effect(f, EFFECT_RBP_FROM_RSP, ops[1].mem.disp.value);
	} else {
		set_effect(f, EFFECT_RBP_LOST, 0);
	}
}

static void add_stack_effect(struct facts *f, const ZydisDecodedInstruction *insn,
			     const ZydisDecodedOperand *ops)
{
	for (unsigned i = 0; i < insn->operand_count; i++) {
		if (ops[i].type != ZYDIS_OPERAND_TYPE_REGISTER ||
		    !(ops[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			continue;
		switch ((unsigned)ZydisRegisterGetLargestEnclosing(
			ZYDIS_MACHINE_MODE_LONG_64, ops[i].reg.value)) {
		case ZYDIS_REGISTER_RSP:
			write_to_rsp(f, insn, ops);
			break;
		case ZYDIS_REGISTER_RBP:
			if (f->effect == EFFECT_NONE)
				write_to_rbp(f, insn, ops);
			break;
		default:
			break;
		}
	}
}

// xor %eax,%eax and the like read nothing.
static bool zero_idiom(const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *ops)
{
	unsigned last = insn->operand_count_visible - 1u;

	switch ((unsigned)insn->mnemonic) {
	case ZYDIS_MNEMONIC_XOR:
	case ZYDIS_MNEMONIC_SUB:
	case ZYDIS_MNEMONIC_PXOR:
	case ZYDIS_MNEMONIC_XORPS:
	case ZYDIS_MNEMONIC_XORPD:
	case ZYDIS_MNEMONIC_VPXOR:
	case ZYDIS_MNEMONIC_VXORPS:
		break;
	default:
		return false;
	}
	return insn->operand_count_visible >= 2 &&
	       ops[last].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       is_reg(&ops[last - 1], ops[last].reg.value);
}

static void add_operands(struct facts *f, const ZydisDecodedInstruction *insn,
			 const ZydisDecodedOperand *ops, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (ops[i].type == ZYDIS_OPERAND_TYPE_REGISTER)
			add_register(f, insn, &ops[i]);
		else if (ops[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
			add_memory(f, &ops[i]);
	}
	if (zero_idiom(insn, ops))
		f->use = 0;
	add_flags(f, insn);
}

static void add_facts(struct facts *f, const struct insn *i,
		      const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *ops)
{
	// Of these only what is written out counts: the rest is their way with the stack.
	bool stack_insn = true;

	switch ((unsigned)insn->mnemonic) {
	case ZYDIS_MNEMONIC_PUSH:
	case ZYDIS_MNEMONIC_PUSHFQ:
		add_operands(f, insn, ops, insn->operand_count_visible);
		set_effect(f, EFFECT_ADD, -(insn->operand_width == 16 ? 2 : 8));
		stack_access(f, f->delta, (uint32_t)-f->delta, true);
		break;
	case ZYDIS_MNEMONIC_POP:
		add_operands(f, insn, ops, insn->operand_count_visible);
		f->nmem = 0;
		add_pop(f, &ops[0]);
		break;
	case ZYDIS_MNEMONIC_LEAVE:
		f->use = f->kill = LOC(GPR_RBP);
		f->effect = EFFECT_LEAVE;
		f->mem[f->nmem++] =
			(struct access){.base = BASE_RBP, .read = true, .size = 8};
		break;
	case ZYDIS_MNEMONIC_CALL:
	case ZYDIS_MNEMONIC_RET:
	case ZYDIS_MNEMONIC_JMP:
		add_operands(f, insn, ops, insn->operand_count_visible);
		break;
	default:
		stack_insn = false;
		add_operands(f, insn, ops, insn->operand_count);
	}
	if (!stack_insn)
		add_stack_effect(f, insn, ops);
	if (i->flags & INSN_SYSCALL) {
		f->use |= LOC(GPR_RAX);
		f->kill |= LOC(GPR_RAX) | LOC(GPR_RCX) | LOC(11);
	}
}

static bool is_scalar_float(const ZydisDecodedInstruction *insn,
			    const ZydisDecodedOperand *ops)
{
	for (unsigned i = 0; i < insn->operand_count_visible; i++)
		if ((ops[i].element_type == ZYDIS_ELEMENT_TYPE_FLOAT32 ||
		     ops[i].element_type == ZYDIS_ELEMENT_TYPE_FLOAT64 ||
		     ops[i].element_type == ZYDIS_ELEMENT_TYPE_FLOAT80) &&
		    ops[i].element_count == 1)
			return true;
	return false;
}

struct err *facts_decode(struct graph *g)
{
	ZydisDecoder decoder;

	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	g->facts = calloc((size_t)g->n + 1, sizeof(*g->facts));
	if (!g->facts)
		return err_nomem();
	for (uint32_t i = 0; i < g->n; i++) {
		const struct insn *insn = &g->b->insns.v[i];
		const uint8_t *bytes = module_bytes(g->m, insn->addr, insn->len);
		ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
		ZydisDecodedInstruction decoded;

		if (!bytes || ZYAN_FAILED(ZydisDecoderDecodeFull(
				      &decoder, bytes, insn->len, &decoded, ops))) {
			snprintf(g->unprovable, sizeof(g->unprovable),
				 "0x%" PRIx64 " cannot be decoded", insn->addr);
			return NULL;
		}
		add_facts(&g->facts[i], insn, &decoded, ops);
		g->floats |= is_scalar_float(&decoded, ops);
	}
	return NULL;
}
