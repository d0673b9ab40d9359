// SPDX-License-Identifier: LGPL-2.1-or-later
// diff/types: each verdict, and what comes near to it without being it.
#include "diff/types.h"
#include "elf/type_fields.h"
#include "tests/unit/compile.h"

// Types are compiled with "TYPES; OBJECTS; int main() {...}", where objects use them.
struct type_case {
	const char *name;
	const char *old, *new;	   // declarations
	const char *objects;	   // the same for both
	const char *type;	   // the change to look for
	enum type_verdict verdict; // TYPE_SAME: must not be reported
	const char *member;	   // NULL: do not look
	int refuses;
};

#define HEAP "struct s *p;"

static const struct type_case cases[] = {
	{"equal", "struct s { int a; char b[3]; };", "struct s { int a; char b[3]; };",
	 HEAP, "struct s", TYPE_SAME, NULL, 0},
	{"inserted member shifts", "struct s { int a; long b, c; };",
	 "struct s { int a; long n, b, c; };", HEAP, "struct s", TYPE_SHIFTED, "b", 1},
	{"shift at equal size", "struct s { long a; int b; int c; int pad; };",
	 "struct s { long a; int n; int b; int c; };", HEAP, "struct s", TYPE_SHIFTED,
	 "b", 1},
	{"exchanged members", "struct s { int a, b; };", "struct s { int b, a; };", HEAP,
	 "struct s", TYPE_SHIFTED, "a", 1},
	{"appended member grows", "struct s { int a; };", "struct s { int a, n; };", HEAP,
	 "struct s", TYPE_GROWN, "n", 1},
	{"last member gone shrinks", "struct s { int a, b; };", "struct s { int a; };",
	 HEAP, "struct s", TYPE_SHRUNK, NULL, 1},
	{"new member in a hole", "struct s { char a; long b; };",
	 "struct s { char a, n; long b; };", HEAP, "struct s", TYPE_HOLE, "n", 0},
	{"new member in tail padding", "struct s { long a; char b; };",
	 "struct s { long a; char b; int n; };", HEAP, "struct s", TYPE_HOLE, "n", 0},
	{"padding is not enough", "struct s { long a; int b; char c; };",
	 "struct s { long a; int b; char c; int n; };", HEAP, "struct s", TYPE_GROWN, "n",
	 1},
	{"renamed member", "struct s { int a, b; };", "struct s { int a, c; };", HEAP,
	 "struct s", TYPE_RENAMED, "b", 0},
	{"another type at the same place", "struct s { int a, b; };",
	 "struct s { int a; float c; };", HEAP, "struct s", TYPE_MEANING, "b", 1},
	{"int became float", "struct s { int a; };", "struct s { float a; };", HEAP,
	 "struct s", TYPE_MEANING, "a", 1},
	{"int became enum", "struct s { int a; };",
	 "enum e { X }; struct s { enum e a; };", HEAP, "struct s", TYPE_MEANING, "a", 1},
	{"integer became pointer", "struct s { long a; };", "struct s { char *a; };",
	 HEAP, "struct s", TYPE_MEANING, "a", 1},
	{"signedness", "struct s { int a; };", "struct s { unsigned a; };", HEAP,
	 "struct s", TYPE_MEANING, "a", 1},
	{"another pointer", "struct s { void *a; };", "struct s { char *a; };", HEAP,
	 "struct s", TYPE_SAME, NULL, 0},
	{"pointer to another record",
	 "struct x { int i; }; struct y { long l; }; struct s { struct x *a; };",
	 "struct x { int i; }; struct y { long l; }; struct s { struct y *a; };",
	 HEAP "struct x gx; struct y gy;", "struct s", TYPE_MEANING, "a", 1},
	{"renamed record", "struct x { int i; }; struct s { struct x *a; };",
	 "struct y { int i; }; struct s { struct y *a; };", HEAP, "struct s", TYPE_SAME,
	 NULL, 0},
	{"renamed record with other layout",
	 "struct x { int i; }; struct s { struct x *a; };",
	 "struct y { int n, i; }; struct s { struct y *a; };", HEAP, "struct y",
	 TYPE_SHIFTED, "i", 1},
	{"typedef only", "struct s { int a; };", "typedef int num; struct s { num a; };",
	 HEAP, "struct s", TYPE_SAME, NULL, 0},
	{"long and long long", "struct s { long a; };", "struct s { long long a; };",
	 HEAP, "struct s", TYPE_SAME, NULL, 0},
	{"narrowed in its place", "struct s { long a; long b; };",
	 "struct s { int a; long b; };", HEAP, "struct s", TYPE_SHRUNK, "a", 1},
	{"widened into padding", "struct s { int a; long b; };",
	 "struct s { long a; long b; };", HEAP, "struct s", TYPE_GROWN, "a", 1},
	{"array grows", "struct s { char a[4]; };", "struct s { char a[8]; };", HEAP,
	 "struct s", TYPE_GROWN, "a", 1},
	{"array grows into padding", "struct s { char a[4]; long b; };",
	 "struct s { char a[8]; long b; };", HEAP, "struct s", TYPE_GROWN, "a", 1},
	{"flexible array", "struct s { long n; char a[]; };",
	 "struct s { long n; char a[]; };", HEAP, "struct s", TYPE_SAME, NULL, 0},
	{"flexible array of others", "struct s { long n; char a[]; };",
	 "struct s { long n; int a[]; };", HEAP, "struct s", TYPE_GROWN, "a", 1},
	{"new flexible array", "struct s { long n; };", "struct s { long n; char a[]; };",
	 HEAP, "struct s", TYPE_GROWN, "a", 1},
	{"bit-field moves", "struct s { unsigned a:3, b:4; };",
	 "struct s { unsigned a:3, n:1, b:4; };", HEAP, "struct s", TYPE_SHIFTED, "b", 1},
	{"bit-field widens at the end", "struct s { unsigned a:3, b:4; };",
	 "struct s { unsigned a:3, b:5; };", HEAP, "struct s", TYPE_MEANING, "b", 1},
	{"new bit-field in a hole", "struct s { unsigned a:3, b:4; };",
	 "struct s { unsigned a:3, b:4, n:2; };", HEAP, "struct s", TYPE_HOLE, "n", 0},
	{"union alternative", "union s { int a; long b; };",
	 "union s { int a; long b; char *c; };", "union s *p;", "union s", TYPE_HOLE, "c",
	 0},
	{"union grows", "union s { int a; };", "union s { int a; long b; };",
	 "union s *p;", "union s", TYPE_GROWN, "b", 1},
	{"wrapped into an anonymous union", "struct s { long a; int b; };",
	 "struct s { union { long a; }; int b; };", HEAP, "struct s", TYPE_SAME, NULL, 0},
	{"anonymous structure inside", "struct s { int a; struct { int x, y; }; };",
	 "struct s { int a; struct { int y, x; }; };", HEAP, "struct s", TYPE_SHIFTED,
	 "x", 1},
	{"named member of anonymous type", "struct s { int a; struct { int x, y; } m; };",
	 "struct s { int a; struct { int y, x; } m; };", HEAP, "s.m", TYPE_SHIFTED, "x", 1},
	{"typedef'd anonymous", "typedef struct { int a; long b; } s;",
	 "typedef struct { long b; int a; } s;", "s *p;", "s", TYPE_SHIFTED, "a", 1},
	{"nested type is reported itself",
	 "struct in { int x; }; struct s { struct in i; int z; };",
	 "struct in { int n, x; }; struct s { struct in i; int z; };", HEAP, "struct in",
	 TYPE_SHIFTED, "x", 1},
	{"container names the nested member",
	 "struct in { int x; }; struct s { struct in i; int z; };",
	 "struct in { int n, x; }; struct s { struct in i; int z; };", HEAP, "struct s",
	 TYPE_SHIFTED, "i.x", 1},
	{"container of equal places",
	 "struct in { int x, y; }; struct s { struct in i; int z; };",
	 "struct in { int y, x; }; struct s { struct in i; int z; };", HEAP, "struct s",
	 TYPE_SAME, NULL, 0},
	{"enumerator changes", "enum e { A, B }; struct s { enum e a; };",
	 "enum e { N, A, B }; struct s { enum e a; };", HEAP, "enum e", TYPE_MEANING, "A",
	 1},
	{"enumerator appended", "enum e { A, B }; struct s { enum e a; };",
	 "enum e { A, B, N }; struct s { enum e a; };", HEAP, "enum e", TYPE_SAME, NULL, 0},
	{"enumerator renamed", "enum e { A, B }; struct s { enum e a; };",
	 "enum e { A, C }; struct s { enum e a; };", HEAP, "enum e", TYPE_RENAMED, "B", 0},
	{"enumerator before the end mark",
	 "enum e { A, B, E_MAX }; struct s { enum e a; };",
	 "enum e { A, B, C, E_MAX }; struct s { enum e a; };", HEAP, "enum e",
	 TYPE_RENAMED, "E_MAX", 0},
	{"the last state is no end mark",
	 "enum e { A, B, CLOSED }; struct s { enum e a; };",
	 "enum e { A, B, C, CLOSED }; struct s { enum e a; };", HEAP, "enum e",
	 TYPE_MEANING, "CLOSED", 1},
	{"behind casts only", "struct t { int a; }; struct s { int a; };",
	 "struct t { int a, b; }; struct s { int a; };",
	 HEAP "int f(struct t *x) { return x->a; }", "struct t", TYPE_GROWN, "b", 1},
	{"stack only", "struct t { int a; };", "struct t { int a, b; };",
	 "int f(struct t *x) { return x->a++; } int g(void) { struct t l = {1}; return "
	 "f(&l) + l.a; }",
	 "struct t", TYPE_STACK_ONLY, "b", 0},
	{"a local pointer may come from the heap", "struct t { int a; };",
	 "struct t { int a, b; };",
	 "void *malloc(unsigned long); int g(void) { struct t *l = malloc(sizeof(*l)); "
	 "l->a = 1; return l->a; }",
	 "struct t", TYPE_GROWN, "b", 1},
	{"static local", "struct t { int a; };", "struct t { int a, b; };",
	 "int g(int n) { static struct t l; l.a += n; return l.a; }", "struct t",
	 TYPE_GROWN, "b", 1},
	{"inside what is live", "struct t { int a; }; struct s { struct t t; };",
	 "struct t { int a, b; }; struct s { struct t t; };", HEAP, "struct t",
	 TYPE_GROWN, "b", 1},
	{"an array of structures", "struct t { int a; };", "struct t { int a, b; };",
	 "struct t v[3];", "struct t", TYPE_GROWN, "b", 1},
	{"added", "struct s { int a; };", "struct n { int a; }; struct s { int a; };",
	 HEAP "\n#ifdef NEW\nstruct n *n;\n#endif\n", "struct n", TYPE_ADDED, NULL, 0},
	{"removed", "struct o { int a; }; struct s { int a; };", "struct s { int a; };",
	 HEAP "\n#ifndef NEW\nstruct o *o;\n#endif\n", "struct o", TYPE_REMOVED, NULL, 0},
};

static const struct type_case cxx_cases[] = {
	{"base class grows", "struct B { int x; }; struct s : B { long a; };",
	 "struct B { int x, y, z; }; struct s : B { long a; };", HEAP, "struct s",
	 TYPE_SHIFTED, NULL, 1},
	{"virtual function inserted",
	 "struct s { virtual int f(); virtual int g(); int a; };",
	 "struct s { virtual int n(); virtual int f(); virtual int g(); int a; };",
	 HEAP "int s::f() { return 1; } int s::g() { return 2; }\n#ifdef NEW\nint s::n() "
	      "{ return 3; }\n"
	      "#endif\n",
	 "struct s", TYPE_MEANING, NULL, 1},
	{"first virtual function", "struct s { int a; };",
	 "struct s { virtual int f(); int a; };",
	 HEAP "\n#ifdef NEW\nint s::f() { return 3; }\n#endif\n", "struct s",
	 TYPE_SHIFTED, "a", 1},
	{"namespace", "namespace n { struct s { int a; }; }",
	 "namespace n { struct s { int a, b; }; }", "n::s *p;", "struct n::s", TYPE_GROWN,
	 "b", 1},
	{"static member is no layout", "struct s { int a; };",
	 "struct s { int a; static int b; }; int s::b = 1;", HEAP, "struct s", TYPE_SAME,
	 NULL, 0},
	{"reference became pointer", "struct s { int &a; s(int &x) : a(x) {} };",
	 "struct s { int *a; s(int &x) : a(&x) {} };", HEAP, "struct s", TYPE_SAME, NULL,
	 0},
};

// Each case is a file of one program, so that equal names in other files are met all the time. The linker
// keeps the first of equal objects.
#define FLAGS " -shared -nostdlib -fPIC -Wl,-z,muldefs"
static const char *const compilers[] = {"gcc -g -fcommon" FLAGS,
					"clang -gdwarf-4 -fcommon" FLAGS};
static const char *const cxx_compilers[] = {"g++ -g" FLAGS,
					    "clang++ -g -fstandalone-debug" FLAGS};

static struct compile_dir dir;
static struct type_report reports[4]; // by compiler

static void write_case(const struct type_case *c, size_t i, bool is_new,
		       const char *suffix)
{
	char name[64], text[4096];

	snprintf(name, sizeof(name), "%s/case%zu.%s", is_new ? "new" : "old", i, suffix);
	snprintf(text, sizeof(text), "%s\n%s\n", is_new ? c->new : c->old, c->objects);
	compile_write(&dir, name, text);
}

static void compile_cases(const struct type_case *list, size_t n, const char *compiler,
			  const char *suffix, struct type_report *report)
{
	struct module *m[2];
	char path[256];

	for (int is_new = 0; is_new < 2; is_new++) {
		const char *sub = is_new ? "new" : "old";

		compile_run("mkdir -p %s/%s", dir.path, sub);
		for (size_t i = 0; i < n; i++)
			write_case(&list[i], i, is_new, suffix);
		compile_run("cd %s/%s && %s%s -o a.out *.%s", dir.path, sub, compiler,
			    is_new ? " -DNEW" : "", suffix);
		snprintf(path, sizeof(path), "%s/%s/a.out", dir.path, sub);
		ck_assert_ptr_null(module_open(path, NULL, &m[is_new]));
	}
	ck_assert_ptr_null(types_compare(m[0], m[1], report));
	ck_assert(report->old_has_dwarf && report->new_has_dwarf);
	module_close(m[0]);
	module_close(m[1]);
}

static void make_reports(void)
{
	dir = compile_dir_make();
	for (int i = 0; i < 2; i++) {
		compile_cases(cases, ARRAY_SIZE(cases), compilers[i], "c", &reports[i]);
		compile_cases(cxx_cases, ARRAY_SIZE(cxx_cases), cxx_compilers[i], "cc",
			      &reports[2 + i]);
	}
}

static void free_reports(void)
{
	for (int i = 0; i < 4; i++)
		type_report_deinit(&reports[i]);
	compile_dir_remove(&dir);
}

static const struct type_change *find(const struct type_report *r, const char *name,
				      const char *file)
{
	vec_for_each(c, &r->changes)
		if (!strcmp(c->name, name) && c->file && !strcmp(c->file, file))
			return c;
	return NULL;
}

static void check_case(const struct type_case *c, const struct type_report *r,
		       const char *compiler, const char *file)
{
	const struct type_change *hit = find(r, c->type, file);
	enum type_verdict verdict = hit ? hit->verdict : TYPE_SAME;

	ck_assert_msg(verdict == c->verdict, "%s (%s): %s is %s, not %s: %s", c->name,
		      compiler, c->type, type_verdict_name(verdict),
		      type_verdict_name(c->verdict), hit ? hit->detail : "");
	if (!hit)
		return;
	ck_assert_msg(type_change_refuses(hit) == c->refuses,
		      "%s (%s): refuses %d, via %s", c->name, compiler,
		      type_change_refuses(hit), hit->via ? hit->via : "nothing");
	if (c->member)
		ck_assert_msg(hit->member && !strcmp(hit->member, c->member),
			      "%s (%s): member %s, not %s", c->name, compiler,
			      hit->member ? hit->member : "-", c->member);
	ck_assert(!hit->live || hit->verdict == TYPE_REMOVED || hit->via);
	ck_assert_int_gt(hit->line, 0);
}

START_TEST(verdicts)
{
	char file[32];

	snprintf(file, sizeof(file), "case%d.c", _i);
	for (int i = 0; i < 2; i++)
		check_case(&cases[_i], &reports[i], compilers[i], file);
}
END_TEST

START_TEST(verdicts_of_classes)
{
	char file[32];

	snprintf(file, sizeof(file), "case%d.cc", _i);
	for (int i = 0; i < 2; i++)
		check_case(&cxx_cases[_i], &reports[2 + i], cxx_compilers[i], file);
}
END_TEST

static const struct dwarf_var *var(const struct dwarf_names *n, const char *name)
{
	vec_for_each(v, &n->vars)
		if (!strcmp(v->name, name))
			return v;
	ck_abort_msg("no variable %s", name);
}

START_TEST(same_names_in_two_files)
{
	static const char one[] =
		"struct s { int a; long b; }; struct s first; struct s *pf = &first;";
	static const char two[] =
		"struct s { char *x; %s }; struct s second; struct s *ps = &second;"
		"int main(void) { return 0; }";
	struct module *m[2];
	_cleanup_(type_report_deinit) struct type_report r = {};

	for (int i = 0; i < 2; i++) {
		char text[256], sub[16];

		snprintf(text, sizeof(text), two, i ? "int n; int y;" : "int y;");
		snprintf(sub, sizeof(sub), "m%d", i);
		compile_run("mkdir -p %s/%s", dir.path, sub);
		snprintf(sub, sizeof(sub), "m%d/one.c", i);
		compile_write(&dir, sub, one);
		snprintf(sub, sizeof(sub), "m%d", i);
		m[i] = compile_module(&dir, sub, "gcc -g one.c", "two.c", text);
	}
	ck_assert_ptr_null(types_compare(m[0], m[1], &r));
	ck_assert_uint_eq(r.changes.n, 1);
	ck_assert_str_eq(r.changes.v[0].file, "two.c");
	ck_assert_int_eq(r.changes.v[0].verdict, TYPE_SHIFTED);
	ck_assert_uint_eq(r.same, 1);
	module_close(m[0]);
	module_close(m[1]);
}
END_TEST

START_TEST(types_of_variables)
{
	static const char old_text[] =
		"int resize = 1; int v[4]; struct s { int a, b; } s; char t[3];"
		"enum e { A } e; int main(void) { return 0; }";
	static const char new_text[] = "enum r { AVOID, ENABLE } resize; int v[6]; "
				       "struct s { int b, a; } s; char t[3];"
				       "enum e { B, A } e; int main(void) { return 0; }";
	static const struct {
		const char *name;
		enum type_verdict verdict;
		const char *member;
	} expected[] = {
		{"resize", TYPE_MEANING, NULL}, {"v", TYPE_GROWN, NULL},
		{"s", TYPE_SHIFTED, "a"},	{"t", TYPE_SAME, NULL},
		{"e", TYPE_MEANING, "A"},
	};
	_cleanup_(module_closep) struct module *old =
		compile_module(&dir, "old", "gcc -g", "a.c", old_text);
	_cleanup_(module_closep) struct module *new =
		compile_module(&dir, "new", "gcc -g", "a.c", new_text);
	_cleanup_(dwarf_names_deinit) struct dwarf_names a = {}, b = {};
	_cleanup_(types_freep) struct types *t = NULL;

	ck_assert_ptr_null(dwarf_names_read(old, &a));
	ck_assert_ptr_null(dwarf_names_read(new, &b));
	ck_assert_ptr_null(types_begin(&a, &b, &t));
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		struct type_difference d;

		ck_assert_ptr_null(types_pair(t, var(&a, expected[i].name)->die,
					      var(&b, expected[i].name)->die, &d));
		ck_assert_msg(d.verdict == expected[i].verdict, "%s: %s",
			      expected[i].name, type_verdict_name(d.verdict));
		if (expected[i].member)
			ck_assert_str_eq(d.member, expected[i].member);
		ck_assert(d.verdict == TYPE_SAME || d.detail);
	}
}
END_TEST

START_TEST(fields_of_types)
{
	static const char text[] =
		"struct in { short x; char *y; };\n"
		"struct s { char name[5]; int n; unsigned f:3, g:4; union { long l; char "
		"c; } u;\n"
		"  struct in v[2]; float fl; } s; char str[6]; int arr[3];\n"
		"long huge[1 << 27];\n"
		"int main(void) { return 0; }";
	static const struct type_field expected[] = {
		{0, 5, .is_string = true},   {5, 3, .is_padding = true},
		{8, 4, .is_string = false},  {12, 1, .is_string = false},
		{13, 3, .is_padding = true}, {16, 8, .is_string = false},
		{24, 2, .is_string = false}, {26, 6, .is_padding = true},
		{32, 8, .is_pointer = true}, {40, 2, .is_string = false},
		{42, 6, .is_padding = true}, {48, 8, .is_pointer = true},
		{56, 4, .is_string = false}, {60, 4, .is_padding = true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(compilers); i++) {
		_cleanup_(module_closep) struct module *m =
			compile_module(&dir, "m", compilers[i], "a.c", text);
		_cleanup_(dwarf_names_deinit) struct dwarf_names n = {};
		_cleanup_(type_fields_deinit) struct type_fields f = {};

		ck_assert_ptr_null(dwarf_names_read(m, &n));
		ck_assert_ptr_null(type_fields(&n, var(&n, "s")->die, 64, &f));
		ck_assert_uint_eq(f.v.n, ARRAY_SIZE(expected));
		for (size_t k = 0; k < f.v.n; k++)
			ck_assert_msg(
				f.v.v[k].offset == expected[k].offset &&
					f.v.v[k].size == expected[k].size &&
					f.v.v[k].is_string == expected[k].is_string &&
					f.v.v[k].is_pointer == expected[k].is_pointer &&
					f.v.v[k].is_padding == expected[k].is_padding,
				"field %zu: %lu %lu", k, f.v.v[k].offset, f.v.v[k].size);
		type_fields_deinit(&f);
		ck_assert_ptr_null(type_fields(&n, var(&n, "str")->die, 6, &f));
		ck_assert(f.v.n == 1 && f.v.v[0].is_string && f.v.v[0].size == 6);
		type_fields_deinit(&f);
		ck_assert_ptr_null(type_fields(&n, var(&n, "arr")->die, 12, &f));
		ck_assert_uint_eq(f.v.n, 3);
		type_fields_deinit(&f);
		ck_assert_ptr_null(type_fields(&n, 0, 20, &f));
		ck_assert_uint_eq(f.v.n, 0);
		// 1 GB of a type with too many members.
		ck_assert_ptr_null(type_fields(&n, var(&n, "huge")->die, 1 << 30, &f));
		ck_assert_uint_eq(f.v.n, 0);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("types");
	TCase *t = tcase_create("types");

	tcase_set_timeout(t, 50);
	tcase_add_unchecked_fixture(t, make_reports, free_reports);
	tcase_add_loop_test(t, verdicts, 0, (int)ARRAY_SIZE(cases));
	tcase_add_loop_test(t, verdicts_of_classes, 0, (int)ARRAY_SIZE(cxx_cases));
	tcase_add_test(t, same_names_in_two_files);
	tcase_add_test(t, types_of_variables);
	tcase_add_test(t, fields_of_types);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
