// SPDX-License-Identifier: LGPL-2.1-or-later
// elf/dwarf_info: variables, scopes, functions and lines from every compiler, version and
// layout of DWARF.
#include "diff/types.h"
#include "elf/dies.h"
#include "elf/dwarf_info.h"
#include "elf/type_fields.h"
#include "tests/unit/compile.h"

static const char c_text[] =
	"#include <stdio.h>\n"
	"struct settings { int a; char b[10]; };\n"
	"__attribute__((used)) struct settings settings = { 1 };\n"
	"static const int table[3] = { 1, 2, 3 };\n"
	"__thread int per_thread = 3;\n"
	"extern int declared[];\n"
	"__attribute__((used)) int declared[4] = { 9 };\n"
	"static int add(int x) { static int calls = 1; return calls += x; }\n"
	"__attribute__((noinline)) int work(int n)\n"
	"{\n"
	"	if (n > 3) { static int hits = 5; hits += n; return hits; }\n"
	"	{ static int hits = 6; hits += add(n) + table[n & 1]; return hits; }\n"
	"}\n"
	"int main(int argc, char **argv)\n"
	"{\n"
	"	printf(\"%d %d\\n\", work(argc), add(argc) + per_thread + settings.a);\n"
	"	settings.a = declared[argc]++;\n"
	"	return settings.a + (argv == 0);\n"
	"}\n";

static const char *const c_compilers[] = {
	"gcc -g -O0",
	"gcc -g -O2",
	"gcc -gdwarf-4 -O2",
	"gcc -gdwarf-2 -gstrict-dwarf -O1",
	"gcc -g -O2 -flto",
	"gcc -g -O2 -fdebug-types-section",
	"gcc -gdwarf-4 -O2 -fdebug-types-section",
	"gcc -g -gz -O2",
	"clang -g -O2",
	"clang -gdwarf-4 -O0",
};
enum { N_COMPILERS = ARRAY_SIZE(c_compilers) };

static struct compile_dir dir;

static void make_dir(void)
{
	dir = compile_dir_make();
}

static void remove_dir(void)
{
	compile_dir_remove(&dir);
}

static const struct dwarf_var *by_scope(const struct dwarf_names *n, const char *scope)
{
	const struct dwarf_var *hit = NULL;

	vec_for_each(v, &n->vars)
		if (!strcmp(v->scope, scope)) {
			ck_assert_msg(!hit, "%s is there twice", scope);
			hit = v;
		}
	return hit;
}

static int initial(const struct module *m, const struct dwarf_var *v)
{
	int value;

	ck_assert_ptr_nonnull(v);
	ck_assert(module_read(m, v->addr, &value, sizeof(value)));
	return value;
}

static const struct dwarf_func *by_name(const struct dwarf_names *n, const char *name)
{
	vec_for_each(f, &n->funcs)
		if (!strcmp(f->name, name))
			return f;
	ck_abort_msg("no function %s", name);
}

static struct module *compile_c(int i)
{
	return compile_module(&dir, "c", c_compilers[i], "a.c", c_text);
}

START_TEST(names_of_c)
{
	_cleanup_(module_closep) struct module *m = compile_c(_i);
	_cleanup_(dwarf_names_deinit) struct dwarf_names n = {};
	struct source_pos pos, again;

	ck_assert_ptr_null(dwarf_names_read(m, &n));
	const struct dwarf_var *v = by_scope(&n, "settings");
	ck_assert_int_eq(initial(m, v), 1);
	ck_assert_str_eq(v->type_name, "struct settings");
	ck_assert_uint_eq(v->size, 16);
	ck_assert_str_eq(v->cu, "a.c");
	ck_assert_ptr_eq(dwarf_var_at(&n, v->addr), v);
	ck_assert(!v->is_const);
	if (!strstr(c_compilers[_i], "lto")) { // gcc 12 loses this definition's entry then
		v = by_scope(&n, "declared");
		ck_assert_int_eq(initial(m, v), 9);
		ck_assert_uint_eq(v->size, 16);
	}
	ck_assert_int_eq(initial(m, by_scope(&n, "work|0|hits")), 5);
	ck_assert_int_eq(initial(m, by_scope(&n, "work|1|hits")), 6);
	ck_assert_int_eq(initial(m, by_scope(&n, "add|0|calls")), 1);
	v = by_scope(&n, "per_thread");
	ck_assert(v && v->declared_thread_local);
	v = by_scope(&n, "table");
	ck_assert(!v || v->is_const);
	const struct dwarf_func *f = by_name(&n, "work");
	ck_assert_ptr_eq(dwarf_func_at(&n, f->addr), f);
	ck_assert_uint_eq(f->addr, module_symbol_named(m, "work")->addr);
	ck_assert_str_eq(f->cu, "a.c");
	ck_assert_int_eq(f->decl_line, 9);
	ck_assert_str_eq(f->decl_file, "a.c");
	ck_assert(dwarf_line(m, f->addr, &pos));
	ck_assert_str_eq(pos.file, "a.c");
	ck_assert_int_ge(pos.line, 9);
	ck_assert_int_le(pos.line, 11);
	ck_assert(dwarf_names_line(&n, m, f->addr, &again));
	ck_assert_int_eq(pos.line, again.line);
	ck_assert(!dwarf_line(m, 0, &pos));
}
END_TEST

static const char cxx_text[] =
	"namespace ns { int inside = 1; namespace { __attribute__((used)) int hidden = "
	"2; } struct S { static "
	"int member;\n"
	"  int f(int x) { static int in_method = 3; return in_method += x; } }; int "
	"S::member = 4; }\n"
	"extern \"C\" { static int sink; }\n"
	"template <class T> int twice(T x) { static int in_template = 5; return "
	"in_template += x; }\n"
	"int user(int n) {\n"
	"%s"
	"  auto b = [n](int x) { static int count = 7; return count += x + n; };\n"
	"  auto c = [](int x) { static int count = 8; return count += x; };\n"
	"  return b(n) + c(n);\n"
	"}\n"
	"int main(int argc, char **) { ns::S s; return user(argc) + s.f(argc) + "
	"ns::inside +\n"
	"  ns::hidden + ns::S::member + twice(argc) + twice((char)argc) + sink; }\n";

// A lambda in front renames those behind it for the linker; their scopes must stay.
static void check_cxx(const char *compiler, const char *before)
{
	char text[2048];
	_cleanup_(dwarf_names_deinit) struct dwarf_names n = {};

	snprintf(text, sizeof(text), cxx_text, before);
	_cleanup_(module_closep) struct module *m =
		compile_module(&dir, "cxx", compiler, "a.cc", text);
	ck_assert_ptr_null(dwarf_names_read(m, &n));
	ck_assert_int_eq(initial(m, by_scope(&n, "ns::inside")), 1);
	ck_assert_int_eq(initial(m, by_scope(&n, "ns::(anonymous)::hidden")), 2);
	ck_assert_int_eq(initial(m, by_scope(&n, "ns::S::member")), 4);
	ck_assert_int_eq(initial(m, by_scope(&n, "_ZN2ns1S1fEi|0|in_method")), 3);
	ck_assert_int_eq(initial(m, by_scope(&n, "_Z5twiceIiEiT_|0|in_template")), 5);
	bool gcc = compiler[0] == 'g';
	const char *b = gcc ? "_Z4useri|<lambda>{int __n,}#0|0|count"
			    : "_Z4useri|<lambda>{int n,}#0|0|count";
	const char *c = "_Z4useri|<lambda>{}#0|0|count";

	ck_assert_int_eq(initial(m, by_scope(&n, b)), 7);
	ck_assert_int_eq(initial(m, by_scope(&n, c)), 8);
}

static const char *const cxx_compilers[] = {"g++ -g -O0", "g++ -g -O2",
					    "g++ -gdwarf-4 -O1", "clang++ -g -O0"};

START_TEST(names_of_cxx)
{
	check_cxx(cxx_compilers[_i], "");
	check_cxx(cxx_compilers[_i],
		  "  auto a = [&n](char x, int y) { static int count = 9; "
		  "return count += x + y + n; }; n += a(1, 2);\n");
}
END_TEST

START_TEST(unit_names_do_not_depend_on_the_folder)
{
	for (int i = 0; i < 2; i++) {
		_cleanup_(dwarf_names_deinit) struct dwarf_names n = {};
		// As cmake does: absolute names, compiled from a folder beside.
		compile_run("mkdir -p %s/%d/build %s/%d/src/deep", dir.path, i, dir.path,
			    i);
		char sub[32];
		snprintf(sub, sizeof(sub), "%d/build", i);
		compile_run("printf 'int v = 1; int main(void) { return v; }' > "
			    "%s/%d/src/deep/a.c",
			    dir.path, i);
		compile_run("cd %s/%s && gcc -g %s/%d/src/deep/a.c", dir.path, sub,
			    dir.path, i);
		char path[256];
		snprintf(path, sizeof(path), "%s/%s/a.out", dir.path, sub);
		_cleanup_(module_closep) struct module *m = NULL;
		ck_assert_ptr_null(module_open(path, NULL, &m));
		ck_assert_ptr_null(dwarf_names_read(m, &n));
		ck_assert_str_eq(by_scope(&n, "v")->cu, "deep/a.c");
	}
}
END_TEST

START_TEST(without_debug_information)
{
	_cleanup_(module_closep) struct module *m =
		compile_module(&dir, "none", "gcc -O2", "a.c", c_text);
	_cleanup_(dwarf_names_deinit) struct dwarf_names n = {};
	struct source_pos pos;

	ck_assert_ptr_null(dwarf_names_read(m, &n));
	ck_assert_uint_eq(n.vars.n + n.funcs.n, 0);
	ck_assert_ptr_null(dwarf_func_at(&n, m->entry));
	ck_assert(!dwarf_line(m, m->entry, &pos));
	ck_assert(!dwarf_names_line(&n, m, m->entry, &pos));
}
END_TEST

// Debian's debug files: partial units, and a supplementary file that several programs share.
START_TEST(compressed_by_dwz)
{
	_cleanup_(module_closep) struct module *before =
		compile_module(&dir, "one", "gcc -g -O2", "a.c", c_text);
	_cleanup_(module_closep) struct module *other =
		compile_module(&dir, "two", "gcc -g -O2", "a.c", c_text);
	_cleanup_(module_closep) struct module *after = NULL;
	_cleanup_(dwarf_names_deinit) struct dwarf_names a = {}, b = {};
	char path[256];

	if (system("command -v dwz >/dev/null")) {
		fprintf(stderr, "skipped: dwz is not installed\n");
		return;
	}
	compile_run("cd %s && cp two/a.out three && cp one/a.out four && "
		    "dwz -m shared three four",
		    dir.path);
	snprintf(path, sizeof(path), "%s/four", dir.path);
	ck_assert_ptr_null(module_open(path, NULL, &after));
	ck_assert_ptr_nonnull(dwarf_getalt(module_dwarf(after)));
	ck_assert_ptr_null(dwarf_names_read(before, &a));
	ck_assert_ptr_null(dwarf_names_read(after, &b));
	ck_assert_uint_eq(a.vars.n, b.vars.n);
	ck_assert_uint_eq(a.funcs.n, b.funcs.n);
	for (size_t i = 0; i < a.vars.n; i++) {
		ck_assert_str_eq(a.vars.v[i].scope, b.vars.v[i].scope);
		ck_assert_str_eq(a.vars.v[i].cu, b.vars.v[i].cu);
		ck_assert_str_eq(a.vars.v[i].type_name, b.vars.v[i].type_name);
		ck_assert_uint_eq(a.vars.v[i].size, b.vars.v[i].size);
	}
	for (size_t i = 0; i < a.funcs.n; i++) {
		ck_assert_str_eq(a.funcs.v[i].name, b.funcs.v[i].name);
		ck_assert_str_eq(a.funcs.v[i].cu, b.funcs.v[i].cu);
	}
}
END_TEST

// Damaged debug information may say anything, but the comparison has to end.
static void compare_types_with(const struct dwarf_names *bad,
			       const struct dwarf_names *good)
{
	_cleanup_(types_freep) struct types *t = NULL;
	_cleanup_(type_report_deinit) struct type_report r = {};
	struct type_difference d;

	ck_assert_ptr_null(types_begin(bad, good, &t));
	ck_assert_ptr_null(types_report(t, &r));
	vec_for_each(v, &bad->vars) {
		_cleanup_(type_fields_deinit) struct type_fields f = {};

		ck_assert_ptr_null(types_pair(t, v->die, v->die, &d));
		ck_assert_ptr_null(
			type_fields(bad, v->die, v->size < 4096 ? v->size : 4096, &f));
	}
}

// Whatever stands in the sections, reading ends: with a result or with an error.
START_TEST(damaged_sections)
{
	_cleanup_(module_closep) struct module *m =
		compile_module(&dir, "bad", c_compilers[_i], "a.c", c_text);
	static const char *const names[] = {".debug_info", ".debug_abbrev", ".debug_line",
					    ".debug_rnglists"};
	unsigned state = 12345, failed = 0;
	_cleanup_(dwarf_names_deinit) struct dwarf_names good = {};

	ck_assert_ptr_null(dwarf_names_read(m, &good));

	for (int round = 0; round < 300; round++) {
		_cleanup_(module_closep) struct module *bad = NULL;
		_cleanup_free_ uint8_t *copy = malloc(m->map_size);

		memcpy(copy, m->map, m->map_size);
		vec_for_each(s, &m->sections) {
			if (strcmp(s->name, names[round % 4]) || !s->size)
				continue;
			for (int k = 0; k < 1 + round % 5; k++) {
				state = state * 1103515245 + 12345;
				copy[s->offset + (state >> 8) % s->size] =
					(uint8_t)(state >> 3);
			}
		}
		struct err *e = module_open_memory("bad", copy, m->map_size, &bad);
		ck_assert_ptr_null(e);
		_cleanup_(dwarf_names_deinit) struct dwarf_names n = {};
		e = dwarf_names_read(bad, &n);
		if (e) {
			failed++;
			ck_assert(e->kind == ERR_CORRUPT || e->kind == ERR_UNSUPPORTED);
			err_free(e);
		} else {
			compare_types_with(&n, &good);
		}
	}
	ck_assert_uint_gt(failed, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dwarf");
	TCase *t = tcase_create("dwarf");

	tcase_set_timeout(t, 50);
	tcase_add_checked_fixture(t, make_dir, remove_dir);
	tcase_add_loop_test(t, names_of_c, 0, N_COMPILERS);
	tcase_add_loop_test(t, names_of_cxx, 0, (int)ARRAY_SIZE(cxx_compilers));
	tcase_add_test(t, unit_names_do_not_depend_on_the_folder);
	tcase_add_test(t, compressed_by_dwz);
	tcase_add_test(t, without_debug_information);
	tcase_add_loop_test(t, damaged_sections, 0, 3);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
