// SPDX-License-Identifier: LGPL-2.1-or-later
// Addresses in DWARF location descriptions (DWARF 5 section 7.7.1, and the GNU operations before it).
#include <dwarf.h>

#include "elf/rebind_internal.h"

// Operands, one character each: 1 2 4 8 bytes, a address, u uleb, s sleb, r reference to an entry, b block
// behind a uleb length, k block behind a length byte. NULL: unknown. "" stands for none.
static const char *const operands[256] = {
	[DW_OP_addr] = "a",
	[DW_OP_deref] = "",
	[DW_OP_const1u] = "1",
	[DW_OP_const1s] = "1",
	[DW_OP_const2u] = "2",
	[DW_OP_const2s] = "2",
	[DW_OP_const4u] = "4",
	[DW_OP_const4s] = "4",
	[DW_OP_const8u] = "8",
	[DW_OP_const8s] = "8",
	[DW_OP_constu] = "u",
	[DW_OP_consts] = "s",
	[DW_OP_dup... DW_OP_over] = "",
	[DW_OP_pick] = "1",
	[DW_OP_swap... DW_OP_plus] = "",
	[DW_OP_plus_uconst] = "u",
	[DW_OP_shl... DW_OP_xor] = "",
	[DW_OP_bra] = "2",
	[DW_OP_eq... DW_OP_ne] = "",
	[DW_OP_skip] = "2",
	[DW_OP_lit0... DW_OP_lit31] = "",
	[DW_OP_reg0... DW_OP_reg31] = "",
	[DW_OP_breg0... DW_OP_breg31] = "s",
	[DW_OP_regx] = "u",
	[DW_OP_fbreg] = "s",
	[DW_OP_bregx] = "us",
	[DW_OP_piece] = "u",
	[DW_OP_deref_size... DW_OP_xderef_size] = "1",
	[DW_OP_nop... DW_OP_push_object_address] = "",
	[DW_OP_call2] = "2",
	[DW_OP_call4] = "4",
	[DW_OP_call_ref] = "r",
	[DW_OP_form_tls_address... DW_OP_call_frame_cfa] = "",
	[DW_OP_bit_piece] = "uu",
	[DW_OP_implicit_value] = "b",
	[DW_OP_stack_value] = "",
	[DW_OP_implicit_pointer] = "rs",
	[DW_OP_addrx] = "u",
	[DW_OP_constx] = "u",
	[DW_OP_entry_value] = "u", // the operations inside follow
	[DW_OP_const_type] = "uk",
	[DW_OP_regval_type] = "uu",
	[DW_OP_deref_type... DW_OP_xderef_type] = "1u",
	[DW_OP_convert... DW_OP_reinterpret] = "u",
	[DW_OP_GNU_push_tls_address] = "",
	[DW_OP_GNU_uninit] = "",
	[DW_OP_GNU_implicit_pointer] = "rs",
	[DW_OP_GNU_entry_value] = "u",
	[DW_OP_GNU_const_type] = "uk",
	[DW_OP_GNU_regval_type] = "uu",
	[DW_OP_GNU_deref_type] = "1u",
	[DW_OP_GNU_convert] = "u",
	[DW_OP_GNU_reinterpret] = "u",
	[DW_OP_GNU_parameter_ref] = "4",
	[DW_OP_GNU_addr_index] = "u",
	[DW_OP_GNU_const_index] = "u",
	[DW_OP_GNU_variable_value] = "r",
};

static void skip_operand(const struct die_unit *u, struct cursor *c, char kind)
{
	switch (kind) {
	case 'a':
		cursor_skip(c, u->address_size);
		break;
	case 'u':
		cursor_uleb(c);
		break;
	case 's':
		cursor_sleb(c);
		break;
	case 'r':
		cursor_skip(c, u->version < 3 ? u->address_size : u->offset_size);
		break;
	case 'b':
		cursor_skip(c, cursor_uleb(c));
		break;
	case 'k':
		cursor_skip(c, cursor_uint(c, 1));
		break;
	default:
		cursor_skip(c, (uint64_t)(kind - '0'));
	}
}

// `extra` is added to the address by what follows: the sum is what lies in a variable.
static void rebind_at(const struct rebind_dwarf *r, struct patched *s, const uint8_t *at,
		      uint64_t extra)
{
	uint64_t addr, to;

	memcpy(&addr, at, sizeof(addr));
	to = rebind_address(r->m, r->rules, addr + extra) - extra;
	memcpy(s->out + (at - s->in.p), &to, sizeof(to));
}

// DW_OP_plus_uconst behind an address, as compilers write "a member of a variable".
static uint64_t added_constant(struct cursor c)
{
	if (cursor_uint(&c, 1) != DW_OP_plus_uconst)
		return 0;
	uint64_t v = cursor_uleb(&c);
	return c.bad ? 0 : v;
}

static void rebind_indexed(const struct rebind_dwarf *r, const struct die_unit *u,
			   uint64_t index)
{
	struct patched s = r->addr;
	uint64_t at, addr;

	if (!s.out || __builtin_mul_overflow(index, 8, &at) ||
	    __builtin_add_overflow(at, u->addr_base, &at))
		return;
	struct cursor c = cursor_at(s.in, at, 8);
	if (c.bad)
		return;
	memcpy(&addr, c.p, sizeof(addr));
	// Code shares its entries with the ranges of functions, which must stay.
	if (module_region(r->m, addr) != REGION_TEXT)
		rebind_at(r, &s, c.p, 0);
}

void rebind_expression(const struct rebind_dwarf *r, const struct die_unit *u,
		       struct patched *s, struct bytes expr)
{
	struct cursor c = cursor_from(expr, 0);

	if (!s->out || u->address_size != 8)
		return;
	while (c.p < c.end) {
		uint64_t op = cursor_uint(&c, 1);
		const uint8_t *at = c.p;

		if (!operands[op])
			return;
		if (op == DW_OP_addrx || op == DW_OP_GNU_addr_index) {
			uint64_t index = cursor_uleb(&c);

			if (!c.bad)
				rebind_indexed(r, u, index);
			continue;
		}
		for (const char *k = operands[op]; *k; k++)
			skip_operand(u, &c, *k);
		if (op == DW_OP_addr && !c.bad)
			rebind_at(r, s, at, added_constant(c));
	}
}
