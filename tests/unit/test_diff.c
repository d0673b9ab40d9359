// SPDX-License-Identifier: LGPL-2.1-or-later
// Verdicts on functions: each pitfall of design 2.1 as two small programs.
#include "tests/unit/diff_pair.h"

START_TEST(rebuild_elsewhere_is_same)
{
	const char *text =
		"#include <stdio.h>\n#include <assert.h>\nstatic int c; int big[50];\n"
		"static int g(int x){static int n; n+=x; assert(n!=7); return n+c;}\n"
		"int main(int a,char**v){c=a; printf(\"%d %s\\n\",g(a),v[0]); big[a]=1;\n"
		"return big[3];}\n";
	_cleanup_(diff_pair_free) struct diff_pair p =
		diff_pair_make(GCC, text, GCC, text);

	all_same(&p);
}
END_TEST

START_TEST(added_line_is_line_cause)
{
#define LINES(extra)                                                           \
	"#include <assert.h>\n" extra "int f(int x){assert(x!=3);return x;}\n" \
	"int main(int a,char**v){(void)v;return f(a);}\n"
	DIFF_PAIR(p, LINES(""), LINES("\n\n"));
	verdict_is(&p, "f", FUNC_IMM);
	ck_assert_int_eq(pair_named(&p, "f")->cause, CAUSE_LINE);
	verdict_is(&p, "main", FUNC_SAME);
}
END_TEST

START_TEST(immediate_is_not_line)
{
#define LIMIT(n) \
	"int f(int x){return x>" n ";}int main(int a,char**v){(void)v;return f(a);}\n"
	DIFF_PAIR(p, LIMIT("1000"), LIMIT("1001"));
	verdict_is(&p, "f", FUNC_IMM);
	ck_assert_int_eq(pair_named(&p, "f")->cause, CAUSE_NONE);
	ck_assert_ptr_nonnull(strstr(pair_named(&p, "f")->reason, "1000"));
}
END_TEST

START_TEST(encoding_of_immediate_does_not_count)
{
	// 127 takes one byte, 128 four.
	DIFF_PAIR(p, LIMIT("126"), LIMIT("200"));
	verdict_is(&p, "f", FUNC_IMM);
}
END_TEST

// ld keeps "1.6.36" once, as the end of the longer string.
START_TEST(suffix_merged_strings)
{
#define VERSION(v)                                                        \
	"#include <stdio.h>\nvoid a(void){puts(\"VERSION " v "\");}\n"    \
	"void b(void){puts(\"" v "\");} void c(void){puts(\"ERROR\");}\n" \
	"int main(void){a();b();c();return 0;}\n"
	DIFF_PAIR(p, VERSION("1.6.36"), VERSION("1.6.37"));
	verdict_is(&p, "a", FUNC_REF);
	verdict_is(&p, "b", FUNC_REF);
	verdict_is(&p, "c", FUNC_SAME);
	ck_assert_int_eq(pair_named(&p, "a")->cause, CAUSE_VERSION);
	ck_assert_ptr_nonnull(strstr(pair_named(&p, "a")->reason, "VERSION 1.6.36"));
}
END_TEST

// gcc leaves "quit" in the file though its comparison became a number; nothing refers to it.
START_TEST(strings_that_nothing_refers_to)
{
#define DISPATCH(extra)                                                               \
	"#include <stdio.h>\n#include <string.h>\n"                                   \
	"int b(int x){return printf(\"%d\",x);}\n"                                    \
	"int a(const char*s){if(!strcmp(s,\"quit\"))return 1;if(!strcmp(s,\"ping\"))" \
	"return 2;" extra "return 3;}\nint main(int n,char**v){return a(v[0])+b(n);}\n"
	DIFF_PAIR(p, DISPATCH(""),
		  DISPATCH("printf(\"%ld\",(long)s[0]);puts(\"a text\");"));
	verdict_is(&p, "b", FUNC_SAME);
	verdict_is(&p, "a", FUNC_CODE);
}
END_TEST

// Here what follows the NUL belongs to the string.
START_TEST(strings_with_nul_inside)
{
#define LIST_OF(text)                                                                \
	"#include <unistd.h>\nlong f(void){return write(1,\"abc\\0" text "\",6);}\n" \
	"int main(void){return (int)f();}\n"
	DIFF_PAIR(p, LIST_OF("def"), LIST_OF("DEF"));
	verdict_is(&p, "f", FUNC_REF);
	DIFF_PAIR(q, LIST_OF("\\0\\0"), LIST_OF("d\\0"));
	verdict_is(&q, "f", FUNC_REF);
}
END_TEST

START_TEST(fixed_addresses)
{
	// Equal length: the string keeps its address.
	const char *cc = GCC " -fno-pie -no-pie";
	_cleanup_(diff_pair_free) struct diff_pair p =
		diff_pair_make(cc, VERSION("1.6.36"), cc, VERSION("1.6.37"));
	_cleanup_(diff_pair_free) struct diff_pair q = diff_pair_make(
		cc, VERSION("1.6.36"), cc, "int first[99]={1};\n" VERSION("1.6.36"));

	ck_assert_int_ne(pair_named(&p, "a")->verdict, FUNC_SAME);
	ck_assert_int_ne(pair_named(&p, "b")->verdict, FUNC_SAME);
	verdict_is(&p, "c", FUNC_SAME);
	verdict_is(&q, "a", FUNC_SAME);
	verdict_is(&q, "main", FUNC_SAME);
}
END_TEST

START_TEST(float_constant)
{
#define FACTOR(v)                                                                 \
	"double f(double x){return x*" v ";} double g(double x){return x*7.5;}\n" \
	"int main(int a,char**v){(void)v;return (int)(f(a)+g(a));}\n"
	DIFF_PAIR(p, FACTOR("2.25"), FACTOR("2.5"));
	verdict_is(&p, "f", FUNC_REF);
	verdict_is(&p, "g", FUNC_SAME);
}
END_TEST

#define SWITCH(first, second)                                                          \
	"int a1(int),a2(int),a3(int),a4(int),a5(int),a6(int);\n"                       \
	"int f(int x,int y){switch(x){case 0:return a1(y);case 1:return a2(y);case 2:" \
	"return " first "(y);case 3:return " second "(y);case 4:return a5(y);case 5:"  \
	"return a6(y+1);}return 0;}\n"                                                 \
	"int a1(int x){return x*3;}int a2(int x){return x*5;}int a3(int x){return "    \
	"x*7;}\n"                                                                      \
	"int a4(int x){return x*9;}int a5(int x){return x*11;}int a6(int x){return "   \
	"x*13;}\n"                                                                     \
	"int main(int a,char**v){(void)v;return f(a,a);}\n"

START_TEST(jump_table_is_found)
{
	DIFF_PAIR(p, SWITCH("a3", "a4"), SWITCH("a3", "a4"));
	verdict_is(&p, "f", FUNC_SAME);
	const struct func *f = &p.d->new_funcs.v[pair_named(&p, "f")->new];
	ck_assert_uint_eq(f->body.tables.n, 1);
	ck_assert_uint_eq(f->body.tables.v[0].n, 6);
	ck_assert_uint_ne(f->body.tables.v[0].jump, UINT32_MAX);
	ck_assert(f->body.insns.v[f->body.tables.v[0].jump].flags & INSN_INDIRECT);
}
END_TEST

// Two cases that change places differ in the table or in the calls, and never are "same".
START_TEST(jump_table_order)
{
	DIFF_PAIR(p, SWITCH("a3", "a4"), SWITCH("a4", "a3"));
	ck_assert_int_ne(pair_named(&p, "f")->verdict, FUNC_SAME);
}
END_TEST

START_TEST(jump_table_alone_differs)
{
	// The same code; only which case leads where differs.
#define CASES(x, y)                                                                  \
	"int a1(int),a2(int);\nint f(int x,int y){switch(x){case " x                 \
	":return a1(y);case 1:"                                                      \
	"return y+4;case 2:return y*6;case 3:return y*15;case 4:return y*23;case " y \
	":return a2(y);}return 0;}\nint a1(int x){return x*3;}int a2(int x){return " \
	"x*5;}\n"                                                                    \
	"int main(int a,char**v){(void)v;return f(a,a);}\n"
	DIFF_PAIR(p, CASES("0", "5"), CASES("5", "0"));
	ck_assert_int_ne(pair_named(&p, "f")->verdict, FUNC_SAME);
}
END_TEST

START_TEST(callee_and_library_function)
{
#define CALLS(own, lib)                                                                 \
	"#include <stdlib.h>\n#include <string.h>\nint u(int x){return x+1;}\n"         \
	"int v(int x){return x+2;}int f(int x){return 2*" own "(x);}\n"                 \
	"long g(const char*s){return 2*" lib "(s);}\n"                                  \
	"int main(int a,char**w){return f(a)+u(a)+v(a)+(int)g(w[0])+(int)strlen(w[0])+" \
	"atoi(w[0]);}\n"
	DIFF_PAIR(p, CALLS("u", "atoi"), CALLS("v", "strlen"));
	verdict_is(&p, "f", FUNC_REF);
	ck_assert_int_ne(pair_named(&p, "g")->verdict, FUNC_SAME);
	verdict_is(&p, "main", FUNC_SAME);
}
END_TEST

START_TEST(another_library_function_only)
{
#define PUT(fn)                                                              \
	"#include <stdlib.h>\nint f(const char*s){return " fn "(s)!=0;}\n"   \
	"int main(int a,char**w){(void)a;return f(w[0])+(getenv(\"x\")!=0)+" \
	"(secure_getenv(\"y\")!=0);}\n"
	_cleanup_(diff_pair_free) struct diff_pair p =
		diff_pair_make(GCC " -D_GNU_SOURCE", PUT("getenv"), GCC " -D_GNU_SOURCE",
			       PUT("secure_getenv"));

	verdict_is(&p, "f", FUNC_REF);
	verdict_is(&p, "main", FUNC_SAME);
}
END_TEST

START_TEST(another_variable)
{
#define READS(v)                                                                    \
	"int one=1,two=2; int f(void){return " v ";} int*g(void){return &" v ";}\n" \
	"int h(void){return one;} int main(void){return f()+*g()+h();}\n"
	DIFF_PAIR(p, READS("one"), READS("two"));
	verdict_is(&p, "f", FUNC_REF);
	verdict_is(&p, "g", FUNC_REF);
	verdict_is(&p, "h", FUNC_SAME);
}
END_TEST

START_TEST(code_change_has_twins)
{
#define BODY(extra)                                                        \
	"#include <stdio.h>\nint s; int f(int x){s=x*3;puts(\"a\");" extra \
	"puts(\"b\");return s*x;}int main(int a,char**v){(void)v;return f(a);}\n"
	DIFF_PAIR(p, BODY(""), BODY("if(x==9)return 1;"));
	verdict_is(&p, "f", FUNC_CODE);
	const struct func_pair *f = pair_named(&p, "f");
	const struct body *b = &p.d->new_funcs.v[f->new].body;
	const struct body *o = &p.d->old_funcs.v[f->old].body;
	size_t twins = 0;

	for (size_t i = 0; i < b->insns.n; i++) {
		if (f->twin[i] == NO_TWIN)
			continue;
		twins++;
		ck_assert_uint_eq(f->near_twin[i], f->twin[i]);
		ck_assert(b->insns.v[i].hash == o->insns.v[f->twin[i]].hash);
	}
	ck_assert_uint_ge(twins, o->insns.n / 2);
	ck_assert_uint_lt(twins, b->insns.n);
}
END_TEST

START_TEST(same_pairs_have_identity_twins)
{
	DIFF_PAIR(p, BODY(""), BODY(""));
	const struct func_pair *f = pair_named(&p, "f");

	for (uint32_t i = 0; i < p.d->new_funcs.v[f->new].body.insns.n; i++)
		ck_assert_uint_eq(f->twin[i], i);
}
END_TEST

START_TEST(cold_part_belongs_to_parent)
{
#define COLD(limit)                                                                   \
	"#include <stdlib.h>\nint g(int x){return x+1;}int f(int x){int r=0;for(int " \
	"i=0;i<x;"                                                                    \
	"i++){r+=g(i);if(r==" limit                                                   \
	")abort();}return r;}int k(int x){return f(x)+f(x+1);}\n"                     \
	"int main(int a,char**v){(void)v;return k(a);}\n"
	DIFF_PAIR(p, COLD("33"), COLD("34"));
	const struct func *f = &p.d->new_funcs.v[pair_named(&p, "f")->new];

	ck_assert_uint_eq(f->body.parts.n, 2);
	verdict_is(&p, "f", FUNC_IMM);
	ck_assert_uint_eq(diff_new_func_at(p.d, f->body.parts.v[1].addr),
			  pair_named(&p, "f")->new);
	vec_for_each(x, &p.d->new_funcs)
		ck_assert_ptr_null(strstr(x->name, ".cold"));
}
END_TEST

START_TEST(added_removed_renamed)
{
	DIFF_PAIR(p,
		  "int gone(int x){return x<<7;}int before(int x){int "
		  "r=0;while(x--)r+=x*x^5;"
		  "return r;}int main(int a,char**v){(void)v;return gone(a)+before(a);}",
		  "int fresh(int x){return x*x+11;}int after(int x){int "
		  "r=0;while(x--)r+=x*x^5;"
		  "return r;}int main(int a,char**v){(void)v;return fresh(a)+after(a);}");
	verdict_is(&p, "gone", FUNC_REMOVED);
	verdict_is(&p, "fresh", FUNC_ADDED);
	verdict_is(&p, "after", FUNC_SAME);
	ck_assert_uint_eq(p.d->count[FUNC_REMOVED], 1);
	ck_assert_uint_eq(p.d->count[FUNC_ADDED], 1);
}
END_TEST

START_TEST(same_named_static_functions)
{
	struct compile_dir dir = compile_dir_make();
	const char *build = "cd %s/%s && gcc -g -O2 -fno-inline a.c b.c -o a.out";
	struct module *old = NULL, *new = NULL;
	struct diff *d = NULL;
	char path[256];

	compile_run("mkdir %s/old %s/new", dir.path, dir.path);
	compile_write(&dir, "old/a.c",
		      "static int help(int x){return x+1;}int ua(int x)"
		      "{return help(x);}");
	compile_write(&dir, "old/b.c",
		      "static int help(int x){return x*5;}int ua(int);"
		      "int main(int a,char**v){(void)v;return help(a)+ua(a);}");
	compile_write(&dir, "new/a.c",
		      "static int help(int x){return x+1;}int ua(int x)"
		      "{return help(x);}");
	compile_write(&dir, "new/b.c",
		      "static int help(int x){return x*5-1;}int ua(int);"
		      "int main(int a,char**v){(void)v;return help(a)+ua(a);}");
	compile_run(build, dir.path, "old");
	compile_run(build, dir.path, "new");
	snprintf(path, sizeof(path), "%s/old/a.out", dir.path);
	ck_assert_ptr_null(module_open(path, NULL, &old));
	snprintf(path, sizeof(path), "%s/new/a.out", dir.path);
	ck_assert_ptr_null(module_open(path, NULL, &new));
	ck_assert_ptr_null(diff_programs(old, new, &(struct diff_options){0}, &d));
	size_t seen = 0;
	vec_for_each(p, &d->funcs) {
		const struct func *f;

		ck_assert(p->old != NO_TWIN && p->new != NO_TWIN);
		f = &d->new_funcs.v[p->new];
		if (strcmp(f->name, "help"))
			continue;
		ck_assert_str_eq(f->file, d->old_funcs.v[p->old].file);
		ck_assert_int_eq(p->verdict,
				 strcmp(f->file, "a.c") ? FUNC_CODE : FUNC_SAME);
		seen++;
	}
	ck_assert_uint_eq(seen, 2);
	diff_free(d);
	module_close(old);
	module_close(new);
	compile_dir_remove(&dir);
}
END_TEST

START_TEST(folded_functions)
{
#define FOLD(y)                                                   \
	"int f(int x){return x*77+1;}int g(int x){return x*77+" y \
	";}int main(int a,char**v){(void)v;return f(a)+g(a);}"
	_cleanup_(diff_pair_free) struct diff_pair p = {.dir = compile_dir_make()};
	const char *alias =
		"int f(int x){return x*77+1;}int g(int x)__attribute__((alias(\"f\")"
		"));int main(int a,char**v){(void)v;return f(a)+g(a);}";

	p.old = compile_module(&p.dir, "old", GCC, "t.c", alias);
	p.new = compile_module(&p.dir, "new", GCC, "t.c", FOLD("2"));
	ck_assert_ptr_null(diff_programs(p.old, p.new, &(struct diff_options){0}, &p.d));
	ck_assert_uint_eq(p.d->facts.n, 1);
	ck_assert_int_eq(p.d->facts.v[0].kind, CHANGE_ICF);
}
END_TEST

START_TEST(clang_too)
{
	const char *clang = "clang -g -O2 -fno-inline";
	_cleanup_(diff_pair_free) struct diff_pair p =
		diff_pair_make(clang, SWITCH("a3", "a4"), clang, SWITCH("a3", "a4"));
	_cleanup_(diff_pair_free) struct diff_pair q =
		diff_pair_make(clang, SWITCH("a3", "a4"), clang, SWITCH("a4", "a3"));

	all_same(&p);
	ck_assert_int_ne(pair_named(&q, "f")->verdict, FUNC_SAME);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("diff");
	TCase *t = tcase_create("diff");

	tcase_set_timeout(t, 50);
	tcase_add_test(t, rebuild_elsewhere_is_same);
	tcase_add_test(t, added_line_is_line_cause);
	tcase_add_test(t, immediate_is_not_line);
	tcase_add_test(t, encoding_of_immediate_does_not_count);
	tcase_add_test(t, suffix_merged_strings);
	tcase_add_test(t, strings_that_nothing_refers_to);
	tcase_add_test(t, strings_with_nul_inside);
	tcase_add_test(t, fixed_addresses);
	tcase_add_test(t, float_constant);
	tcase_add_test(t, jump_table_is_found);
	tcase_add_test(t, jump_table_order);
	tcase_add_test(t, jump_table_alone_differs);
	tcase_add_test(t, callee_and_library_function);
	tcase_add_test(t, another_library_function_only);
	tcase_add_test(t, another_variable);
	tcase_add_test(t, code_change_has_twins);
	tcase_add_test(t, same_pairs_have_identity_twins);
	tcase_add_test(t, cold_part_belongs_to_parent);
	tcase_add_test(t, added_removed_renamed);
	tcase_add_test(t, same_named_static_functions);
	tcase_add_test(t, folded_functions);
	tcase_add_test(t, clang_too);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
