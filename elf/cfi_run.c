// SPDX-License-Identifier: LGPL-2.1-or-later
// Runs the programs of call frame entries (DWARF 5, 6.4.2).
#include <dwarf.h>

#include "elf/cfi_internal.h"

enum { REMEMBER_MAX = 8 }; // nested DW_CFA_remember_state; compilers nest once

struct run {
	const struct cfi *c;
	const struct cfi_cie *cie;
	struct rd r;
	vaddr_t loc, pc;
	struct cfi_row *row;
	const struct cfi_row *initial; // after the CIE's program; NULL while that runs
	struct cfi_row saved[REMEMBER_MAX];
	unsigned depth;
	bool done; // the next row starts behind pc
};

static void set_rule(struct run *run, uint64_t reg, struct cfi_rule rule)
{
	if (reg < CFI_REGS)
		run->row->reg[reg] = rule;
}

static void set_offset(struct run *run, uint64_t reg, enum cfi_kind kind, int64_t factored)
{
	int64_t offset;

	if (__builtin_mul_overflow(factored, run->cie->data_align, &offset))
		run->r.bad = true;
	else
		set_rule(run, reg, (struct cfi_rule){.kind = kind, .offset = offset});
}

static void restore_rule(struct run *run, uint64_t reg)
{
	if (!run->initial)
		run->r.bad = true;
	else if (reg < CFI_REGS)
		run->row->reg[reg] = run->initial->reg[reg];
}

static void advance(struct run *run, uint64_t delta)
{
	uint64_t bytes;

	if (__builtin_mul_overflow(delta, run->cie->code_align, &bytes) ||
	    __builtin_add_overflow(run->loc, bytes, &run->loc))
		run->r.bad = true;
	run->done = run->loc > run->pc;
}

static void set_cfa(struct run *run, uint64_t reg, int64_t offset)
{
	if (reg >= CFI_REGS)
		run->r.bad = true;
	run->row->cfa = (struct cfi_rule){
		.kind = CFI_REGISTER, .reg = (uint8_t)reg, .offset = offset};
}

// Changes one half of a register + offset rule; an expression has no halves.
static void change_cfa(struct run *run, bool reg, uint64_t value)
{
	struct cfi_rule *cfa = &run->row->cfa;

	if (cfa->kind != CFI_REGISTER)
		run->r.bad = true;
	else
		set_cfa(run, reg ? value : cfa->reg, reg ? cfa->offset : (int64_t)value);
}

static struct cfi_rule expression(struct run *run, enum cfi_kind kind)
{
	uint64_t len = rd_uleb(&run->r);
	const uint8_t *p = rd_block(&run->r, len);

	return (struct cfi_rule){
		.kind = kind, .expr_len = p ? (uint32_t)len : 0, .expr = p};
}

static void remember(struct run *run)
{
	if (run->depth == REMEMBER_MAX)
		run->r.bad = true;
	else
		run->saved[run->depth++] = *run->row;
}

static void recall(struct run *run)
{
	if (!run->depth)
		run->r.bad = true;
	else
		*run->row = run->saved[--run->depth];
}

static void run_cfa_op(struct run *run, uint8_t op)
{
	struct rd *r = &run->r;
	uint64_t reg;
	int64_t offset;

	switch (op) {
	case DW_CFA_def_cfa:
		reg = rd_uleb(r);
		set_cfa(run, reg, (int64_t)rd_uleb(r));
		break;
	case DW_CFA_def_cfa_sf:
		reg = rd_uleb(r);
		if (__builtin_mul_overflow(rd_sleb(r), run->cie->data_align, &offset))
			r->bad = true;
		else
			set_cfa(run, reg, offset);
		break;
	case DW_CFA_def_cfa_register:
		change_cfa(run, true, rd_uleb(r));
		break;
	case DW_CFA_def_cfa_offset:
		change_cfa(run, false, rd_uleb(r));
		break;
	case DW_CFA_def_cfa_offset_sf:
		if (__builtin_mul_overflow(rd_sleb(r), run->cie->data_align, &offset))
			r->bad = true;
		else
			change_cfa(run, false, (uint64_t)offset);
		break;
	case DW_CFA_def_cfa_expression:
		run->row->cfa = expression(run, CFI_VAL_EXPRESSION);
		break;
	default:
		r->bad = true;
	}
}

static void run_register_op(struct run *run, uint8_t op)
{
	struct rd *r = &run->r;
	uint64_t reg = rd_uleb(r);

	switch (op) {
	case DW_CFA_offset_extended:
		set_offset(run, reg, CFI_OFFSET, (int64_t)rd_uleb(r));
		break;
	case DW_CFA_offset_extended_sf:
		set_offset(run, reg, CFI_OFFSET, rd_sleb(r));
		break;
	case DW_CFA_GNU_negative_offset_extended:
		set_offset(run, reg, CFI_OFFSET, (int64_t)(0 - rd_uleb(r)));
		break;
	case DW_CFA_val_offset:
		set_offset(run, reg, CFI_VAL_OFFSET, (int64_t)rd_uleb(r));
		break;
	case DW_CFA_val_offset_sf:
		set_offset(run, reg, CFI_VAL_OFFSET, rd_sleb(r));
		break;
	case DW_CFA_restore_extended:
		restore_rule(run, reg);
		break;
	case DW_CFA_undefined:
		set_rule(run, reg, (struct cfi_rule){.kind = CFI_UNDEFINED});
		break;
	case DW_CFA_same_value:
		set_rule(run, reg, (struct cfi_rule){.kind = CFI_SAME});
		break;
	case DW_CFA_register: {
		uint64_t other = rd_uleb(r);

		if (other >= CFI_REGS)
			r->bad = true;
		set_rule(run, reg,
			 (struct cfi_rule){.kind = CFI_REGISTER, .reg = (uint8_t)other});
		break;
	}
	case DW_CFA_expression:
		set_rule(run, reg, expression(run, CFI_EXPRESSION));
		break;
	case DW_CFA_val_expression:
		set_rule(run, reg, expression(run, CFI_VAL_EXPRESSION));
		break;
	default:
		r->bad = true;
	}
}

static void run_op(struct run *run, uint8_t op)
{
	struct rd *r = &run->r;

	switch (op & 0xc0) {
	case DW_CFA_advance_loc:
		advance(run, op & 0x3f);
		return;
	case DW_CFA_offset:
		set_offset(run, op & 0x3f, CFI_OFFSET, (int64_t)rd_uleb(r));
		return;
	case DW_CFA_restore:
		restore_rule(run, op & 0x3f);
		return;
	}
	switch (op) {
	case DW_CFA_nop:
		break;
	case DW_CFA_set_loc:
		run->loc = rd_encoded(r, run->cie->encoding,
				      run->c->addr + (uint64_t)(r->p - run->c->bytes));
		run->done = run->loc > run->pc;
		break;
	case DW_CFA_advance_loc1:
		advance(run, rd_uint(r, 1));
		break;
	case DW_CFA_advance_loc2:
		advance(run, rd_uint(r, 2));
		break;
	case DW_CFA_advance_loc4:
		advance(run, rd_uint(r, 4));
		break;
	case DW_CFA_remember_state:
		remember(run);
		break;
	case DW_CFA_restore_state:
		recall(run);
		break;
	case DW_CFA_GNU_args_size:
		rd_uleb(r);
		break;
	case DW_CFA_def_cfa:
	case DW_CFA_def_cfa_sf:
	case DW_CFA_def_cfa_register:
	case DW_CFA_def_cfa_offset:
	case DW_CFA_def_cfa_offset_sf:
	case DW_CFA_def_cfa_expression:
		run_cfa_op(run, op);
		break;
	default:
		run_register_op(run, op);
	}
}

static bool run_program(struct run *run, const uint8_t *insns, uint32_t len)
{
	run->r = (struct rd){insns, insns + len, false};
	while (!run->r.bad && !run->done && run->r.p < run->r.end)
		run_op(run, (uint8_t)rd_uint(&run->r, 1));
	return !run->r.bad;
}

bool cfi_run(const struct cfi *c, const struct cfi_fde *fde, vaddr_t pc,
	     struct cfi_row *ret)
{
	struct cfi_row initial;
	struct run run;

	run.c = c;
	run.cie = &c->cies.v[fde->cie];
	run.loc = fde->start;
	run.pc = pc;
	run.row = ret;
	run.initial = NULL;
	run.depth = 0;
	run.done = false;
	if (run.cie->ra != CFI_RIP)
		return false;
	*ret = (struct cfi_row){.signal_frame = run.cie->signal_frame};
	if (!run_program(&run, run.cie->insns, run.cie->len))
		return false;
	initial = *ret;
	run.initial = &initial;
	return run_program(&run, fde->insns, fde->len);
}

static bool rule_equal(const struct cfi_rule *a, const struct cfi_rule *b)
{
	if (a->kind != b->kind)
		return false;
	switch ((enum cfi_kind)a->kind) {
	case CFI_OFFSET:
	case CFI_VAL_OFFSET:
		return a->offset == b->offset;
	case CFI_REGISTER:
		return a->reg == b->reg && a->offset == b->offset;
	case CFI_EXPRESSION:
	case CFI_VAL_EXPRESSION:
		return a->expr_len == b->expr_len &&
		       !memcmp(a->expr, b->expr, a->expr_len);
	case CFI_UNSPECIFIED:
	case CFI_UNDEFINED:
	case CFI_SAME:
		break;
	}
	return true;
}

bool cfi_row_equal(const struct cfi_row *a, const struct cfi_row *b)
{
	if (a->signal_frame != b->signal_frame || !rule_equal(&a->cfa, &b->cfa))
		return false;
	for (unsigned i = 0; i < CFI_REGS; i++)
		if (!rule_equal(&a->reg[i], &b->reg[i]))
			return false;
	return true;
}
