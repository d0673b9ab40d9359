// SPDX-License-Identifier: LGPL-2.1-or-later
// Call frame information: against libdw over whole libraries, damaged tables,
// expressions.
#include <check.h>
#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "elf/cfi.h"
#include "util/cleanup.h"

static const char *const libraries[] = {"/lib/x86_64-linux-gnu/libc.so.6",
					"/lib64/ld-linux-x86-64.so.2", "/proc/self/exe"};

// libdw's view of the CFA as register and offset; false when it is an expression.
static bool libdw_cfa(Dwarf_Frame *frame, int *reg, int64_t *offset)
{
	Dwarf_Op *ops;
	size_t n;

	ck_assert_int_eq(dwarf_frame_cfa(frame, &ops, &n), 0);
	if (n != 1 || ops[0].atom != DW_OP_bregx)
		return false;
	*reg = (int)ops[0].number;
	*offset = (int64_t)ops[0].number2;
	return true;
}

static void compare_register(Dwarf_Frame *frame, const struct cfi_row *row, int reg,
			     vaddr_t pc)
{
	Dwarf_Op mem[3], *ops;
	size_t n;
	const struct cfi_rule *rule = &row->reg[reg];

	ck_assert_int_eq(dwarf_frame_register(frame, reg, mem, &ops, &n), 0);
	if (n == 0 && ops == mem) // undefined
		ck_assert(rule->kind == CFI_UNDEFINED || rule->kind == CFI_UNSPECIFIED);
	else if (n == 0)
		ck_assert(rule->kind == CFI_SAME || rule->kind == CFI_UNSPECIFIED);
	else if (rule->kind == CFI_OFFSET) {
		ck_assert_int_eq(ops[0].atom, DW_OP_call_frame_cfa);
		ck_assert_msg(n == 1 ? rule->offset == 0
				     : (int64_t)ops[1].number == rule->offset,
			      "register %d at %#lx", reg, pc);
	} else if (rule->kind == CFI_UNSPECIFIED) // libdw's default for the stack pointer
		ck_assert_int_eq(reg, CFI_RSP);
	else
		ck_assert(rule->kind == CFI_EXPRESSION ||
			  rule->kind == CFI_VAL_EXPRESSION || rule->kind == CFI_REGISTER);
}

static unsigned compare_at(const struct cfi *cfi, Dwarf_CFI *dw, vaddr_t pc)
{
	_cleanup_free_ Dwarf_Frame *frame = NULL;
	struct cfi_row row;
	int64_t offset;
	int reg;

	if (dwarf_cfi_addrframe(dw, pc, &frame) != 0)
		return 0;
	ck_assert_msg(cfi_find(cfi, pc, &row), "no rules at %#lx", pc);
	if (libdw_cfa(frame, &reg, &offset)) {
		ck_assert_msg(row.cfa.kind == CFI_REGISTER && row.cfa.reg == reg &&
				      row.cfa.offset == offset,
			      "CFA at %#lx", pc);
	} else {
		ck_assert_int_eq(row.cfa.kind, CFI_VAL_EXPRESSION);
	}
	for (int i = 0; i < CFI_REGS; i++)
		compare_register(frame, &row, i, pc);
	return 1;
}

START_TEST(same_as_libdw)
{
	_cleanup_(module_closep) struct module *m = NULL;
	_cleanup_(cfi_freep) struct cfi *cfi = NULL;
	Dwarf_CFI *dw;
	unsigned n = 0;

	ck_assert_ptr_null(module_open(libraries[_i], NULL, &m));
	ck_assert_ptr_null(cfi_open(m, &cfi));
	dw = dwarf_getcfi_elf(module_elf(m));
	ck_assert_ptr_nonnull(dw);
	vec_for_each(f, &m->fdes) {
		uint64_t step = f->size / 7 + 1;

		for (uint64_t at = 0; at < f->size; at += step)
			n += compare_at(cfi, dw, f->addr + at);
		n += compare_at(cfi, dw, f->addr + f->size - 1);
	}
	ck_assert_uint_gt(n, 20);
	dwarf_cfi_end(dw);
}
END_TEST

// Memory for cfi_step: words at 0x1000 and up, each its own address times three.
static bool read_words(void *arg, taddr_t addr, void *buf, size_t len)
{
	uint64_t v = addr * 3;

	(void)arg;
	if (addr < 0x1000 || addr >= 0x3000 || len > 8)
		return false;
	memcpy(buf, &v, len);
	return true;
}

START_TEST(steps_by_offset)
{
	struct cfi_row row = {.cfa = {.kind = CFI_REGISTER, .reg = CFI_RSP, .offset = 32}};
	struct cfi_regs regs = {.known = 1u << CFI_RSP | 1u << CFI_RIP};
	struct cfi_caller caller;

	row.reg[CFI_RIP] = (struct cfi_rule){.kind = CFI_OFFSET, .offset = -8};
	row.reg[CFI_RBX] = (struct cfi_rule){.kind = CFI_OFFSET, .offset = -16};
	regs.v[CFI_RSP] = 0x1000;
	ck_assert_int_eq(cfi_step(&row, &regs, read_words, NULL, &caller), CFI_OK);
	ck_assert_uint_eq(caller.cfa, 0x1020);
	ck_assert_uint_eq(caller.pc_slot, 0x1018);
	ck_assert_uint_eq(caller.regs.v[CFI_RIP], 0x1018 * 3);
	ck_assert_uint_eq(caller.regs.v[CFI_RBX], 0x1010 * 3);
	ck_assert_uint_eq(caller.regs.v[CFI_RSP], 0x1020);
	ck_assert_uint_eq(caller.regs.known,
			  1u << CFI_RSP | 1u << CFI_RIP | 1u << CFI_RBX);

	row.cfa.reg = CFI_RBP; // not known, as in a thread that was not stopped
	ck_assert_int_eq(cfi_step(&row, &regs, read_words, NULL, &caller),
			 CFI_UNKNOWN_REG);
	ck_assert_uint_eq(caller.bad, CFI_RBP);
	row.cfa.reg = CFI_RSP;
	regs.v[CFI_RSP] = 0x9000;
	ck_assert_int_eq(cfi_step(&row, &regs, read_words, NULL, &caller), CFI_UNREADABLE);
	ck_assert_uint_eq(caller.bad, 0x9010); // rbx comes first
	row.reg[CFI_RIP].kind = CFI_UNDEFINED;
	ck_assert_int_eq(cfi_step(&row, &regs, read_words, NULL, &caller), CFI_END);
}
END_TEST

// The rule that ld makes for a PLT: rsp + 8 + ((rip & 15) >= 11) * 8.
START_TEST(steps_by_expression)
{
	static const uint8_t plt[] = {DW_OP_breg7, 8,	      DW_OP_breg16, 0,
				      DW_OP_lit15, DW_OP_and, DW_OP_lit11,  DW_OP_ge,
				      DW_OP_lit3,  DW_OP_shl, DW_OP_plus};
	static const uint8_t endless[] = {DW_OP_skip, 0xfd, 0xff};
	static const uint8_t underflow[] = {DW_OP_plus};
	struct cfi_row row = {
		.cfa = {.kind = CFI_VAL_EXPRESSION, .expr_len = sizeof(plt), .expr = plt}};
	struct cfi_regs regs = {.known = ~0u};
	struct cfi_caller caller;

	row.reg[CFI_RIP] = (struct cfi_rule){.kind = CFI_OFFSET, .offset = -8};
	regs.v[CFI_RSP] = 0x1000;
	regs.v[CFI_RIP] = 0x5006;
	ck_assert_int_eq(cfi_step(&row, &regs, read_words, NULL, &caller), CFI_OK);
	ck_assert_uint_eq(caller.cfa, 0x1008);
	regs.v[CFI_RIP] = 0x500b;
	ck_assert_int_eq(cfi_step(&row, &regs, read_words, NULL, &caller), CFI_OK);
	ck_assert_uint_eq(caller.cfa, 0x1010);
	row.cfa.expr = endless;
	row.cfa.expr_len = sizeof(endless);
	ck_assert_int_eq(cfi_step(&row, &regs, read_words, NULL, &caller), CFI_BAD_EXPR);
	row.cfa.expr = underflow;
	row.cfa.expr_len = sizeof(underflow);
	ck_assert_int_eq(cfi_step(&row, &regs, read_words, NULL, &caller), CFI_BAD_EXPR);
}
END_TEST

// Whatever the bytes are, nothing is read outside of them (the debug build runs this
// under ASan).
START_TEST(damaged_tables)
{
	_cleanup_(module_closep) struct module *m = NULL;
	const struct section *frame = NULL;
	const uint8_t *bytes;
	size_t size;

	ck_assert_ptr_null(module_open("/proc/self/exe", NULL, &m));
	vec_for_each(s, &m->sections)
		if (!strcmp(s->name, ".eh_frame"))
			frame = s;
	ck_assert_ptr_nonnull(frame);
	bytes = module_bytes(m, frame->addr, frame->size);
	size = frame->size < 4096 ? frame->size : 4096;
	srand(7);
	for (unsigned round = 0; round < 3000; round++) {
		_cleanup_free_ uint8_t *copy = malloc(size);
		_cleanup_(cfi_freep) struct cfi *cfi = NULL;
		struct cfi_row row;

		memcpy(copy, bytes, size);
		for (unsigned i = 0; i < 1 + round % 8; i++)
			copy[(size_t)rand() % size] = (uint8_t)rand();
		ck_assert_ptr_null(
			cfi_open_bytes(copy, size - round % 64, frame->addr, &cfi));
		vec_for_each(f, &m->fdes)
			cfi_find(cfi, f->addr + f->size / 2, &row);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cfi");
	TCase *t = tcase_create("cfi");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 50);
	tcase_add_loop_test(t, same_as_libdw, 0, (int)ARRAY_SIZE(libraries));
	tcase_add_test(t, steps_by_offset);
	tcase_add_test(t, steps_by_expression);
	tcase_add_test(t, damaged_tables);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
