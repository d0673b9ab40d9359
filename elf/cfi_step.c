// SPDX-License-Identifier: LGPL-2.1-or-later
// Applies the rules of one row: from the registers of a frame to those of its caller.
#include <dwarf.h>

#include "elf/cfi.h"
#include "elf/cfi_reader.h"
#include "util/vec.h"

enum { EXPR_STACK = 32, EXPR_STEPS = 1000 };

struct eval {
	const struct cfi_regs *regs;
	cfi_read_fn read;
	void *arg;
	uint64_t bad;
	enum cfi_status status;
	uint64_t stack[EXPR_STACK];
	unsigned n;
};

static void fail(struct eval *e, enum cfi_status status, uint64_t bad)
{
	if (e->status == CFI_OK) {
		e->status = status;
		e->bad = bad;
	}
}

static void push(struct eval *e, uint64_t v)
{
	if (e->n == EXPR_STACK)
		fail(e, CFI_BAD_EXPR, 0);
	else
		e->stack[e->n++] = v;
}

static uint64_t pop(struct eval *e)
{
	if (!e->n) {
		fail(e, CFI_BAD_EXPR, 0);
		return 0;
	}
	return e->stack[--e->n];
}

static uint64_t get_reg(struct eval *e, uint64_t reg)
{
	if (reg >= CFI_REGS) {
		fail(e, CFI_BAD_EXPR, reg);
		return 0;
	}
	if (!(e->regs->known & 1u << reg))
		fail(e, CFI_UNKNOWN_REG, reg);
	return e->regs->v[reg];
}

static uint64_t deref(struct eval *e, taddr_t addr, size_t size)
{
	uint64_t v = 0;

	if (e->status == CFI_OK && !e->read(e->arg, addr, &v, size))
		fail(e, CFI_UNREADABLE, addr);
	return v;
}

static void pick(struct eval *e, unsigned depth)
{
	if (depth >= e->n)
		fail(e, CFI_BAD_EXPR, 0);
	else
		push(e, e->stack[e->n - 1 - depth]);
}

static void binary_op(struct eval *e, uint8_t op)
{
	uint64_t b = pop(e), a = pop(e);

	switch (op) {
	case DW_OP_plus:
		return push(e, a + b);
	case DW_OP_minus:
		return push(e, a - b);
	case DW_OP_mul:
		return push(e, a * b);
	case DW_OP_and:
		return push(e, a & b);
	case DW_OP_or:
		return push(e, a | b);
	case DW_OP_xor:
		return push(e, a ^ b);
	case DW_OP_shl:
		return push(e, b < 64 ? a << b : 0);
	case DW_OP_shr:
		return push(e, b < 64 ? a >> b : 0);
	case DW_OP_shra:
		return push(e, (uint64_t)((int64_t)a >> (b < 63 ? b : 63)));
	case DW_OP_eq:
		return push(e, a == b);
	case DW_OP_ne:
		return push(e, a != b);
	case DW_OP_ge:
		return push(e, (int64_t)a >= (int64_t)b);
	case DW_OP_gt:
		return push(e, (int64_t)a > (int64_t)b);
	case DW_OP_le:
		return push(e, (int64_t)a <= (int64_t)b);
	case DW_OP_lt:
		return push(e, (int64_t)a < (int64_t)b);
	default:
		fail(e, CFI_BAD_EXPR, op);
	}
}

static void jump(struct eval *e, struct rd *r, const uint8_t *start, bool taken)
{
	int64_t delta = rd_sint(r, 2);

	if (!taken || r->bad)
		return;
	if (delta < start - r->p || delta > r->end - r->p)
		fail(e, CFI_BAD_EXPR, 0);
	else
		r->p += delta;
}

static void stack_op(struct eval *e, struct rd *r, uint8_t op)
{
	uint64_t a, b, c;

	switch (op) {
	case DW_OP_dup:
		return pick(e, 0);
	case DW_OP_over:
		return pick(e, 1);
	case DW_OP_pick:
		return pick(e, (unsigned)rd_uint(r, 1));
	case DW_OP_drop:
		pop(e);
		return;
	case DW_OP_swap:
		a = pop(e), b = pop(e);
		push(e, a), push(e, b);
		return;
	case DW_OP_rot:
		a = pop(e), b = pop(e), c = pop(e);
		push(e, a), push(e, c), push(e, b);
		return;
	case DW_OP_deref:
		return push(e, deref(e, pop(e), 8));
	case DW_OP_deref_size:
		a = rd_uint(r, 1);
		if (!a || a > 8)
			return fail(e, CFI_BAD_EXPR, op);
		return push(e, deref(e, pop(e), a));
	case DW_OP_neg:
		return push(e, 0 - pop(e));
	case DW_OP_not:
		return push(e, ~pop(e));
	case DW_OP_plus_uconst:
		return push(e, pop(e) + rd_uleb(r));
	default:
		binary_op(e, op);
	}
}

static void eval_op(struct eval *e, struct rd *r, const uint8_t *start, uint8_t op)
{
	uint64_t reg;

	if (op >= DW_OP_lit0 && op <= DW_OP_lit31)
		return push(e, op - DW_OP_lit0);
	if (op >= DW_OP_breg0 && op <= DW_OP_breg31) {
		push(e, get_reg(e, op - DW_OP_breg0) + (uint64_t)rd_sleb(r));
		return;
	}
	switch (op) {
	case DW_OP_addr:
	case DW_OP_const8u:
	case DW_OP_const8s:
		return push(e, rd_uint(r, 8));
	case DW_OP_const1u:
		return push(e, rd_uint(r, 1));
	case DW_OP_const1s:
		return push(e, (uint64_t)rd_sint(r, 1));
	case DW_OP_const2u:
		return push(e, rd_uint(r, 2));
	case DW_OP_const2s:
		return push(e, (uint64_t)rd_sint(r, 2));
	case DW_OP_const4u:
		return push(e, rd_uint(r, 4));
	case DW_OP_const4s:
		return push(e, (uint64_t)rd_sint(r, 4));
	case DW_OP_constu:
		return push(e, rd_uleb(r));
	case DW_OP_consts:
		return push(e, (uint64_t)rd_sleb(r));
	case DW_OP_bregx:
		reg = rd_uleb(r);
		return push(e, get_reg(e, reg) + (uint64_t)rd_sleb(r));
	case DW_OP_skip:
		return jump(e, r, start, true);
	case DW_OP_bra:
		return jump(e, r, start, pop(e) != 0);
	case DW_OP_nop:
		return;
	default:
		stack_op(e, r, op);
	}
}

static uint64_t evaluate(struct eval *e, const struct cfi_rule *rule)
{
	struct rd r = {rule->expr, rule->expr + rule->expr_len, false};

	for (unsigned steps = 0; r.p < r.end && e->status == CFI_OK; steps++) {
		if (steps == EXPR_STEPS)
			fail(e, CFI_BAD_EXPR, 0);
		eval_op(e, &r, rule->expr, (uint8_t)rd_uint(&r, 1));
		if (r.bad)
			fail(e, CFI_BAD_EXPR, 0);
	}
	return pop(e);
}

static uint64_t eval_cfa(struct eval *e, const struct cfi_rule *rule)
{
	if (rule->kind == CFI_REGISTER)
		return get_reg(e, rule->reg) + (uint64_t)rule->offset;
	e->n = 0;
	if (rule->kind == CFI_VAL_EXPRESSION)
		return evaluate(e, rule);
	fail(e, CFI_NO_RULE, 0);
	return 0;
}

struct value {
	uint64_t v;
	taddr_t slot; // where it was read, 0 when not from memory
	bool known;
};

static struct value read_slot(struct eval *e, taddr_t slot)
{
	return (struct value){deref(e, slot, 8), slot, true};
}

static struct value eval_reg(struct eval *e, unsigned reg, const struct cfi_rule *rule,
			     uint64_t cfa)
{
	bool keep = rule->kind == CFI_SAME || (CFI_CALLEE_SAVED & 1u << reg);

	switch ((enum cfi_kind)rule->kind) {
	case CFI_UNSPECIFIED:
		if (reg == CFI_RSP)
			return (struct value){cfa, 0, true};
		if (reg == CFI_RIP)
			fail(e, CFI_NO_RULE, 0);
		if (!keep)
			break;
		// fall through
	case CFI_SAME:
		return (struct value){e->regs->v[reg], 0, e->regs->known & 1u << reg};
	case CFI_UNDEFINED:
		break;
	case CFI_OFFSET:
		return read_slot(e, cfa + (uint64_t)rule->offset);
	case CFI_VAL_OFFSET:
		return (struct value){cfa + (uint64_t)rule->offset, 0, true};
	case CFI_REGISTER:
		return (struct value){e->regs->v[rule->reg], 0,
				      e->regs->known & 1u << rule->reg};
	case CFI_EXPRESSION: // the CFA is the first thing on the expression's stack
		e->n = 0;
		push(e, cfa);
		return read_slot(e, evaluate(e, rule));
	case CFI_VAL_EXPRESSION:
		e->n = 0;
		push(e, cfa);
		return (struct value){evaluate(e, rule), 0, true};
	}
	return (struct value){0};
}

enum cfi_status cfi_step(const struct cfi_row *row, const struct cfi_regs *regs,
			 cfi_read_fn read, void *arg, struct cfi_caller *ret)
{
	struct eval e;

	e.regs = regs;
	e.read = read;
	e.arg = arg;
	e.status = CFI_OK;
	e.bad = 0;
	e.n = 0;
	ret->regs.known = 0;
	ret->pc_slot = 0;
	if (row->reg[CFI_RIP].kind == CFI_UNDEFINED)
		return CFI_END;
	ret->cfa = eval_cfa(&e, &row->cfa);
	for (unsigned i = 0; i < CFI_REGS && e.status == CFI_OK; i++) {
		struct value v = eval_reg(&e, i, &row->reg[i], ret->cfa);

		ret->regs.v[i] = v.v;
		ret->regs.known |= (uint32_t)v.known << i;
		if (i == CFI_RIP)
			ret->pc_slot = v.slot;
	}
	if (e.status == CFI_OK && !(ret->regs.known & 1u << CFI_RIP))
		fail(&e, CFI_UNKNOWN_REG, CFI_RIP);
	ret->bad = e.bad;
	return e.status;
}

const char *cfi_register_name(unsigned reg)
{
	static const char *const names[] = {"rax", "rdx", "rcx", "rbx", "rsi", "rdi",
					    "rbp", "rsp", "r8",	 "r9",	"r10", "r11",
					    "r12", "r13", "r14", "r15", "rip"};

	return reg < ARRAY_SIZE(names) ? names[reg] : "?";
}
