// SPDX-License-Identifier: LGPL-2.1-or-later
// elf/rebind: a debugger's copy differs in the addresses of variables and in nothing else. libdw reads both.
#include <dwarf.h>

#include "elf/rebind.h"
#include "tests/unit/compile.h"

static const char text[] =
	"#include <stdio.h>\n"
	"struct pair { int a, b; };\n"
	"struct pair one = { 1, 2 }, two = { 3, 4 };\n"
	"static int counter = 5;\n"
	"__thread int per_thread = 6;\n"
	"static const char *const names[] = { \"x\", \"y\" };\n"
	"__attribute__((noinline)) int callback(int n) { static int calls; return calls "
	"+= n; }\n"
	"__attribute__((noinline)) void use(int (*f)(int), int n) { counter += f(n); }\n"
	"__attribute__((noinline)) int work(int n)\n"
	"{\n"
	"	struct pair *p = &one;\n"
	"	p->a += n;\n"
	"	use(callback, n);\n"
	"	p = &two;\n"
	"	p->b += per_thread++;\n"
	"	use(callback, p->a);\n"
	"	return p->b;\n"
	"}\n"
	"int main(int argc, char **argv)\n"
	"{\n"
	"	printf(\"%s %d\\n\", names[argc & 1], work(argc) + counter);\n"
	"	return argv == 0;\n"
	"}\n";

static const char *const compilers[] = {
	"gcc -g -O2",
	"gcc -g -O0",
	"gcc -gdwarf-4 -O2",
	"gcc -gdwarf-3 -gstrict-dwarf -O2",
	"gcc -gdwarf-2 -gstrict-dwarf -O2",
	"gcc -g -O2 -flto",
	"gcc -g -gz -O2",
	"gcc -gdwarf64 -gdwarf-5 -O2",
	"gcc -gdwarf-4 -O2 -fdebug-types-section",
	"clang -g -O2",
	"clang -g -O0",
	"clang -gdwarf-4 -O2",
	"clang -g -O2 -fuse-ld=lld",
};

static struct compile_dir dir;

static void make_dir(void)
{
	dir = compile_dir_make();
}

static void remove_dir(void)
{
	compile_dir_remove(&dir);
}

// Homes lie below the load address: values are "negative".
static const uint64_t shift = (uint64_t)-0x12345000;

static vaddr_t shifted(void *arg, vaddr_t addr)
{
	(void)arg;
	return addr + shift;
}

static vaddr_t function(void *arg, vaddr_t addr)
{
	(void)arg;
	return addr + 0x40000000;
}

static const struct rebind_rules rules = {.data = shifted, .function = function};

static struct module *copy_of(const struct module *m)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	struct module *ret;
	size_t size;

	ck_assert_ptr_null(rebind_file(m, &rules, &bytes, &size));
	ck_assert_ptr_null(module_open_memory("copy", bytes, size, &ret));
	return ret;
}

static uint64_t want(const struct module *m, uint64_t addr)
{
	return module_region(m, addr) == REGION_TEXT ? function(NULL, addr)
						     : shifted(NULL, addr);
}

struct compared {
	const struct module *m;
	unsigned addresses, lists;
};

// An index of .debug_addr, as libdw resolves it.
static uint64_t indexed(Dwarf_Attribute *attr, const Dwarf_Op *op)
{
	Dwarf_Attribute value;
	Dwarf_Addr addr;

	ck_assert_int_eq(dwarf_getlocation_attr(attr, op, &value), 0);
	ck_assert_int_eq(dwarf_formaddr(&value, &addr), 0);
	return addr;
}

static void compare_ops(struct compared *c, Dwarf_Attribute *attr[2], Dwarf_Op *ops[2],
			size_t n)
{
	for (size_t i = 0; i < n; i++) {
		Dwarf_Op *a = &ops[0][i], *b = &ops[1][i];

		ck_assert_uint_eq(a->atom, b->atom);
		// libdw keeps a pointer to the inner operations there.
		if (a->atom != DW_OP_entry_value && a->atom != DW_OP_GNU_entry_value)
			ck_assert_uint_eq(a->number2, b->number2);
		if (a->atom == DW_OP_addr) {
			ck_assert_uint_eq(b->number, want(c->m, a->number));
			c->addresses++;
			continue;
		}
		ck_assert_uint_eq(a->number, b->number);
		if (a->atom != DW_OP_addrx && a->atom != DW_OP_GNU_addr_index)
			continue;
		uint64_t was = indexed(attr[0], a), is = indexed(attr[1], b);

		// Entries of code serve ranges of functions too.
		ck_assert_uint_eq(is, module_region(c->m, was) == REGION_TEXT
					      ? was
					      : want(c->m, was));
		c->addresses++;
	}
}

static void compare_attr(struct compared *c, Dwarf_Attribute *attr[2])
{
	ptrdiff_t at[2] = {0, 0};
	unsigned n = 0;

	for (;;) {
		Dwarf_Addr base[2], start[2], end[2];
		Dwarf_Op *ops[2];
		size_t len[2];

		for (int k = 0; k < 2; k++)
			at[k] = dwarf_getlocations(attr[k], at[k], &base[k], &start[k],
						   &end[k], &ops[k], &len[k]);
		ck_assert_int_eq(at[0] > 0, at[1] > 0);
		if (at[0] <= 0)
			break;
		ck_assert_uint_eq(start[0], start[1]);
		ck_assert_uint_eq(end[0], end[1]);
		ck_assert_uint_eq(len[0], len[1]);
		compare_ops(c, attr, ops, len[0]);
		n++;
	}
	c->lists += n > 1;
}

static void compare_dies(struct compared *c, Dwarf_Die *a, Dwarf_Die *b)
{
	static const unsigned names[] = {DW_AT_location, DW_AT_call_value,
					 DW_AT_GNU_call_site_value, DW_AT_frame_base};
	Dwarf_Die child[2];
	Dwarf_Addr low[2] = {0};

	ck_assert_uint_eq(dwarf_tag(a), dwarf_tag(b));
	ck_assert_int_eq(dwarf_lowpc(a, &low[0]), dwarf_lowpc(b, &low[1]));
	ck_assert_uint_eq(low[0], low[1]);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		Dwarf_Attribute mem[2], *attr[2] = {dwarf_attr(a, names[i], &mem[0]),
						    dwarf_attr(b, names[i], &mem[1])};

		ck_assert_int_eq(!attr[0], !attr[1]);
		if (attr[0])
			compare_attr(c, attr);
	}
	if (dwarf_child(a, &child[0]))
		return;
	ck_assert_int_eq(dwarf_child(b, &child[1]), 0);
	do {
		compare_dies(c, &child[0], &child[1]);
	} while (!dwarf_siblingof(&child[0], &child[0]) &&
		 !dwarf_siblingof(&child[1], &child[1]));
}

static void compare_dwarf(struct compared *c, const struct module *copy)
{
	Dwarf *dwarf[2] = {module_dwarf(c->m), module_dwarf(copy)};
	Dwarf_CU *cu[2] = {NULL, NULL};
	Dwarf_Die die[2], sub;

	ck_assert(dwarf[0] && dwarf[1]);
	while (!dwarf_get_units(dwarf[0], cu[0], &cu[0], NULL, NULL, &die[0], &sub)) {
		ck_assert_int_eq(dwarf_get_units(dwarf[1], cu[1], &cu[1], NULL, NULL,
						 &die[1], &sub),
				 0);
		compare_dies(c, &die[0], &die[1]);
	}
}

static void compare_symbols(const struct module *m, const struct module *copy)
{
	unsigned n = 0;

	vec_for_each(s, &m->symbols) {
		bool found = false;
		uint64_t value = s->type == STT_OBJECT && s->region != REGION_TLS
					 ? want(m, s->addr)
					 : s->addr;

		vec_for_each(t, &copy->symbols)
			found |= !strcmp(s->name, t->name) && t->addr == value &&
				 t->size == s->size && t->type == s->type;
		ck_assert_msg(found, "%s", s->name);
		n++;
	}
	ck_assert_uint_gt(n, 8);
}

START_TEST(only_variables_move)
{
	_cleanup_(module_closep) struct module *m =
		compile_module(&dir, "c", compilers[_i], "a.c", text);
	_cleanup_(module_closep) struct module *copy = copy_of(m);
	struct compared c = {.m = m};

	compare_dwarf(&c, copy);
	compare_symbols(m, copy);
	ck_assert_uint_ge(c.addresses, 4);
	// Pointers that only the debugger knows of.
	if (strstr(compilers[_i], "gcc") && strstr(compilers[_i], "-O2") &&
	    !strstr(compilers[_i], "strict"))
		ck_assert_uint_ge(c.lists, 1);
	ck_assert_str_eq(m->build_id, copy->build_id);
	ck_assert_uint_eq(m->segments.n, copy->segments.n);
	ck_assert_mem_eq(m->segments.v, copy->segments.v,
			 m->segments.n * sizeof(*m->segments.v));
	ck_assert_uint_eq(m->fdes.n, copy->fdes.n);
	vec_for_each(p, &m->segments)
		if (p->type == PT_LOAD && p->offset) // not the ELF header
			ck_assert_mem_eq(m->map + p->offset, copy->map + p->offset,
					 p->filesz);
}
END_TEST

START_TEST(separate_debug_file)
{
	_cleanup_(module_closep) struct module *m = NULL, *copy = NULL;
	struct compared c = {};

	compile_write(&dir, "b.c", text);
	compile_run("cd '%s' && gcc -g -O2 b.c -o b && "
		    "objcopy --only-keep-debug --compress-debug-sections b b.debug && "
		    "strip b && objcopy --add-gnu-debuglink=b.debug b",
		    dir.path);
	_cleanup_free_ char *path = NULL;
	ck_assert_int_gt(asprintf(&path, "%s/b", dir.path), 0);
	ck_assert_ptr_null(module_open(path, NULL, &m));
	ck_assert_ptr_nonnull(m->debug_path);
	copy = copy_of(m);
	ck_assert(copy->has_symtab && module_has_dwarf(copy));
	c.m = m;
	compare_dwarf(&c, copy);
	compare_symbols(m, copy);
	ck_assert_uint_ge(c.addresses, 4);
}
END_TEST

START_TEST(functions_alone)
{
	_cleanup_(module_closep) struct module *m =
		compile_module(&dir, "c", compilers[_i], "a.c", text);
	_cleanup_(module_closep) struct module *old = NULL;
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t size, n = 0;

	ck_assert_ptr_null(rebind_old_file(m, 7, &bytes, &size));
	ck_assert_ptr_null(module_open_memory("old", bytes, size, &old));
	ck_assert(!module_has_dwarf(old));
	vec_for_each(s, &old->symbols) {
		ck_assert_int_eq(s->type, STT_FUNC);
		ck_assert_ptr_nonnull(strstr(s->name, ".old7"));
		n++;
	}
	ck_assert_uint_ge(n, 4);
	const struct symbol *s = module_symbol_named(old, "work.old7");
	ck_assert_ptr_nonnull(s);
	ck_assert_uint_eq(s->addr, module_symbol_named(m, "work")->addr);
	ck_assert_uint_eq(m->fdes.n, old->fdes.n);
}
END_TEST

START_TEST(suffix_of_functions)
{
	char suffix[24];

	rebind_old_suffix("main", 4294967295u, suffix);
	ck_assert_str_eq(suffix, ".old4294967295");
	rebind_old_suffix("_ZN3foo3barEv", 12, suffix);
	ck_assert_str_eq(suffix, ".old.12");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("rebind");
	TCase *t = tcase_create("rebind");

	tcase_set_timeout(t, 50);
	tcase_add_checked_fixture(t, make_dir, remove_dir);
	tcase_add_loop_test(t, only_variables_move, 0, (int)ARRAY_SIZE(compilers));
	tcase_add_test(t, separate_debug_file);
	tcase_add_loop_test(t, functions_alone, 0, (int)ARRAY_SIZE(compilers));
	tcase_add_test(t, suffix_of_functions);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
