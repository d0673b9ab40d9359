// SPDX-License-Identifier: LGPL-2.1-or-later
// Verdicts on variables and facts, and how functions see the data they refer to.
#include "tests/unit/diff_pair.h"

#define MAIN "int main(int a,char**v){(void)v;return use(a);}\n"

START_TEST(initialiser_and_size)
{
	DIFF_PAIR(
		p, "int level=3,kept=4;int list[4]={1};int use(int x){return level+list[x]+kept;}" MAIN,
		"int level=5,kept=4;int list[6]={1};int fresh;int use(int x){fresh=x;"
		"return level+list[x]+kept;}" MAIN);
	var_is(&p, "level", VAR_INIT);
	var_is(&p, "kept", VAR_SAME);
	var_is(&p, "list", VAR_RESIZED);
	var_is(&p, "fresh", VAR_ADDED);
	verdict_is(&p, "use", FUNC_CODE);
}
END_TEST

START_TEST(shifted_data_is_same)
{
	DIFF_PAIR(p, "int b=2;static int z[3];int use(int x){return b+z[x]++;}" MAIN,
		  "int a1=7;int b=2;static int z[3];long more[9];int use(int x)"
		  "{return b+z[x]++;}" MAIN);
	verdict_is(&p, "use", FUNC_SAME);
	var_is(&p, "b", VAR_SAME);
	var_is(&p, "z", VAR_SAME);
}
END_TEST

START_TEST(data_to_bss)
{
	DIFF_PAIR(p, "int x=1;int use(int a){return x+=a;}" MAIN,
		  "int x;int use(int a){return x+=a;}" MAIN);
	var_is(&p, "x", VAR_INIT);
	verdict_is(&p, "use", FUNC_SAME);
}
END_TEST

// By number c.0 and c.1 would change places.
#define COUNTERS(first, second)                              \
	"int " first "(int x){static int c;return c+=x;}\n"  \
	"int " second "(int x){static int c;return c-=x;}\n" \
	"int use(int x){return up(x)+down(x);}" MAIN

static void counters_pair_by_owner(const char *cc)
{
	_cleanup_(diff_pair_free) struct diff_pair p = diff_pair_make(
		cc,
		"int up(int x){static int c;return c+=x;}\nint down(int x){static int c;"
		"return c-=x;}\nint use(int x){return up(x)+down(x);}" MAIN,
		cc,
		"int down(int x){static int c;return c-=x;}\nint up(int x){static int c;"
		"return c+=x;}\nint use(int x){return up(x)+down(x);}" MAIN);
	verdict_is(&p, "up", FUNC_SAME);
	verdict_is(&p, "down", FUNC_SAME);
	vec_for_each(v, &p.d->vars) {
		ck_assert(v->old != NO_TWIN && v->new != NO_TWIN);
		ck_assert_int_eq(v->verdict, VAR_SAME);
	}
}

START_TEST(static_locals_by_scope)
{
	counters_pair_by_owner(GCC);
}
END_TEST

START_TEST(static_locals_without_dwarf)
{
	counters_pair_by_owner("gcc -O2 -fno-inline");
}
END_TEST

START_TEST(unclear_static_locals_stay_apart)
{
	// No debug information, and both counters are used by one function.
	const char *cc = "gcc -O2 -finline-functions";
	_cleanup_(diff_pair_free) struct diff_pair p = diff_pair_make(
		cc, "int use(int x){int r;{static int c;r=c+=x;}{static int c;r+=c-=x;}return r;}" MAIN,
		cc, "int use(int x){int r;{static int c;r=c-=x;}{static int c;r+=c+=x;}return r;}" MAIN);

	vec_for_each(v, &p.d->vars) {
		const struct var *var = v->new != NO_TWIN ? &p.d->new_vars.v[v->new]
							  : &p.d->old_vars.v[v->old];

		if (!strncmp(var->name, "c.", 2))
			ck_assert(v->verdict == VAR_ADDED || v->verdict == VAR_REMOVED);
	}
}
END_TEST

// A table's end is the next object's start.
START_TEST(loop_end)
{
#define TABLE(n)                                                                         \
	"int table[40]={1,2,3,4};int after[" n "]={9};int*end(void){return table+40;}\n" \
	"int use(int x){for(int*p=table;p!=end();p++)x+=*p;return x;}\n"                 \
	"int other(void){return after[0];}" MAIN
	DIFF_PAIR(p, TABLE("2"), TABLE("2"));
	all_same(&p);
	const struct func *f = &p.d->new_funcs.v[pair_named(&p, "end")->new];
	const struct var *table = &p.d->new_vars.v[var_named(&p, "table")->new];
	bool seen = false;

	vec_for_each(in, &f->body.insns) {
		struct var_reading r;

		if (in->ref != REF_DATA || in->target != table->addr + table->size)
			continue;
		seen = true;
		r = diff_new_var_at(p.d, in->target);
		ck_assert_uint_eq(r.end_of, var_named(&p, "table")->new);
	}
	ck_assert(seen);
}
END_TEST

// The array that ends where a string begins (lighttpd): both readings are looked at.
START_TEST(boundary_is_never_falsely_same)
{
#define BOUNDARY(what)                                                                   \
	"static const char names[8]=\"one two\";static const char "                      \
	"text[8]=\"abcdefg\";\n"                                                         \
	"static const char more[8]=\"hijklmn\";\n"                                       \
	"const char*use2(void){return " what ";}const char*q(int x){return x?names:x+1?" \
	"text:more;}int use(int x){return use2()[x]+q(x)[x];}" MAIN
	DIFF_PAIR(p, BOUNDARY("text"), BOUNDARY("more"));
	verdict_is(&p, "use2", FUNC_REF);
	DIFF_PAIR(q, BOUNDARY("names+8"), BOUNDARY("text+8"));
	verdict_is(&q, "use2", FUNC_REF);
}
END_TEST

START_TEST(list_of_linker_grows)
{
#define LIST(extra)                                                                \
	"#define REG(n) static int n __attribute__((section(\"list\"),used))=1;\n" \
	"REG(a1) REG(a2) " extra                                                   \
	" extern int __start_list[],__stop_list[];int tail=5;\n"                   \
	"int use(int x){for(int*p=__start_list;p<__stop_list;p++)x+=*p;return "    \
	"x+tail;}" MAIN
	DIFF_PAIR(p, LIST(""), LIST("REG(a3)"));
	ck_assert_int_ne(pair_named(&p, "use")->verdict, FUNC_SAME);
	DIFF_PAIR(q, LIST(""), LIST(""));
	all_same(&q);
}
END_TEST

START_TEST(const_object_changes_by_itself)
{
#define NAMES(b)                                                                         \
	"static const char*const names[]={\"a\"," b ",\"c\"};extern const int sizes[3];" \
	"const int sizes[3]={1,2,3};\n"                                                  \
	"const char*use2(int x){return names[x];}\n"                                     \
	"int use(int x){return use2(x)[0]+sizes[x];}" MAIN
	DIFF_PAIR(p, NAMES("\"b\""), NAMES("\"B\""));
	var_is(&p, "names", VAR_INIT);
	var_is(&p, "sizes", VAR_SAME);
	verdict_is(&p, "use2", FUNC_SAME);
	ck_assert(p.d->new_vars.v[var_named(&p, "names")->new].is_const);
}
END_TEST

START_TEST(pointers_in_data_are_followed)
{
#define CHAIN(s, fn)                                                                  \
	"int f1(void){return 1;}int f2(void){return 2;}struct n{struct n*next;const " \
	"char*s;"                                                                     \
	"int(*f)(void);};extern struct n a,b;struct n a={&b,\"x\",f1};"               \
	"struct n b={&a,\"" s "\"," fn                                                \
	"};int use(int x){return a.f()+b.f()+a.s[x]+b.s[x]"                           \
	"+f2()+(a.next!=0);}" MAIN
	DIFF_PAIR(p, CHAIN("y", "f1"), CHAIN("y", "f1"));
	all_same(&p);
	DIFF_PAIR(q, CHAIN("y", "f1"), CHAIN("z", "f1"));
	var_is(&q, "a", VAR_SAME);
	var_is(&q, "b", VAR_INIT);
	DIFF_PAIR(r, CHAIN("y", "f1"), CHAIN("y", "f2"));
	var_is(&r, "a", VAR_SAME);
	var_is(&r, "b", VAR_INIT);
}
END_TEST

START_TEST(names_with_line_numbers)
{
#define CAT2(extra)                                                                    \
	extra "#define P2(l) cb_##l\n#define P(l) P2(l)\nint f1(void){return 1;}int "  \
	      "f2(void)"                                                               \
	      "{return 2;}\nstatic int(*P(__LINE__))(void)__attribute__((used))=f1;\n" \
	      "static int(*P(__LINE__))(void)__attribute__((used))=f2;\n"              \
	      "int use(int x){return x+f1()+f2();}" MAIN
	DIFF_PAIR(p, CAT2("\n\n\n\n\n\n\n\n"), CAT2("\n\n\n\n\n\n\n\n\n\n"));
	vec_for_each(v, &p.d->vars) {
		ck_assert(v->old != NO_TWIN && v->new != NO_TWIN);
		ck_assert_int_eq(v->verdict, VAR_SAME);
	}
}
END_TEST

START_TEST(renamed_source_file)
{
	_cleanup_(diff_pair_free) struct diff_pair p = {.dir = compile_dir_make()};
	const char *text =
		"static int state=4;static int help(int x){static int n;return "
		"state+=x+n++;}int use(int x){return help(x);}" MAIN;

	p.old = compile_module(&p.dir, "old", GCC, "t.c", text);
	p.new = compile_module(&p.dir, "new", GCC, "renamed.c", text);
	ck_assert_ptr_null(diff_programs(p.old, p.new, &(struct diff_options){0}, &p.d));
	all_same(&p);
}
END_TEST

// gcc copies an automatic array of pointers from unnamed writable data.
START_TEST(template_of_automatic_array)
{
#define WORDS(w)                                                                     \
	"void show(const char**);int state=3;void f(void){const "                    \
	"char*words[]={\"a\",\"b\"," w ",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\",\"j\"," \
	"\"k\",\"l\",\"m\",\"n\",\"o\",\"p\",\"q\",0};"                              \
	"show(words);}void show(const char**w){state+=w[2][0];}\n"                   \
	"int use(int x){f();return state+x;}" MAIN
	DIFF_PAIR(p, WORDS("\"c\""), "int more=7;" WORDS("\"c\""));
	verdict_is(&p, "f", FUNC_SAME);
	DIFF_PAIR(q, WORDS("\"c\""), WORDS("\"C\""));
	verdict_is(&q, "f", FUNC_REF);
	const struct func *f = &q.d->new_funcs.v[pair_named(&q, "f")->new];
	vec_for_each(in, &f->body.insns) {
		if (in->ref == REF_DATA && module_region(q.new, in->target) == REGION_DATA)
			ck_assert(diff_new_is_template(q.d, in->target));
	}
	ck_assert(!diff_new_is_template(
		q.d, q.d->new_vars.v[var_named(&q, "state")->new].addr));
}
END_TEST

// clang takes a static structure apart into conf.0, conf.1: another number of them is another meaning.
START_TEST(pieces_of_a_structure)
{
#define SPLIT(member, more)                                                        \
	"static struct{int a;" member "int b;}conf;int geta(void){return conf.a;}" \
	"int getb(void){return conf.b;}int use(int x){conf.a+=x;conf.b-=x;" more   \
	"return geta()+getb();}" MAIN
	const char *cc = "clang -g -O2 -fno-inline";
	_cleanup_(diff_pair_free) struct diff_pair p =
		diff_pair_make(cc, SPLIT("", ""), cc, "int first=1;" SPLIT("", ""));
	_cleanup_(diff_pair_free) struct diff_pair q =
		diff_pair_make(cc, SPLIT("", ""), cc,
			       SPLIT("int n;", "conf.n*=x+1;if(conf.n>9)conf.n+=x;"));

	vec_for_each(v, &p.d->vars)
		ck_assert(v->old != NO_TWIN || v->verdict == VAR_ADDED);
	verdict_is(&p, "geta", FUNC_SAME);
	verdict_is(&p, "getb", FUNC_SAME);
	vec_for_each(v, &q.d->vars) {
		const struct var *old =
			v->old != NO_TWIN ? &q.d->old_vars.v[v->old] : NULL;

		// conf.1 was b and is n.
		if (old && !strncmp(old->name, "conf.", 5))
			ck_assert_int_eq(v->verdict, VAR_REMOVED);
	}
	ck_assert_int_ne(pair_named(&q, "getb")->verdict, FUNC_SAME);
}
END_TEST

static const struct module_fact *fact(const struct diff_pair *p, enum module_change kind)
{
	vec_for_each(f, &p->d->facts) {
		if (f->kind == kind)
			return f;
	}
	ck_abort_msg("no fact of kind %d", kind);
}

START_TEST(facts)
{
	const char *cc = GCC " -Wl,--no-as-needed -lm";
	_cleanup_(diff_pair_free) struct diff_pair p = diff_pair_make(
		GCC, "#include <stdio.h>\nstatic __thread int t1;int use(int x){return t1+=x;}" MAIN,
		cc,
		"#include <unistd.h>\nextern char**environ;static __thread int t1;"
		"__thread long t2;__attribute__((constructor))static void "
		"begin(void){t2=1;}"
		"int use(int x){return t1+=x+(int)t2+(environ!=0);}" MAIN);

	ck_assert_str_eq(fact(&p, CHANGE_NEEDED_ADDED)->object, "libm.so.6");
	ck_assert_str_eq(fact(&p, CHANGE_CONSTRUCTOR)->object, "begin");
	ck_assert_ptr_nonnull(strstr(fact(&p, CHANGE_COPY_RELOC)->object, "environ"));
	fact(&p, CHANGE_TLS);
}
END_TEST

START_TEST(meaning_of_a_type)
{
	DIFF_PAIR(p, "int mode=1;int use(int x){return mode+x;}" MAIN,
		  "enum m{ON,OFF}mode=1;int use(int x){return mode+x;}" MAIN);
	ck_assert(var_named(&p, "mode")->type_changed_meaning);
	var_is(&p, "mode", VAR_SAME);
}
END_TEST

START_TEST(written_at_start_only)
{
	DIFF_PAIR(p, "int use(int x){return x;}" MAIN,
		  "int once,often;int use(int x){often=x;return once+x;}int main(int "
		  "a,char**v)"
		  "{(void)v;once=a*3;return use(a);}");
	ck_assert(var_named(&p, "once")->written_at_start_only);
	ck_assert(!var_named(&p, "often")->written_at_start_only);
}
END_TEST

START_TEST(stripped_programs)
{
#define SHAPES(k)                                                           \
	"#include <stdio.h>\n#include <string.h>\nint s1,s2;\n"             \
	"int f1(int x){for(int i=0;i<x;i++)s1+=i*x;return s1;}\n"           \
	"int f2(const char*p){puts(p);return (int)strlen(p)+s2;}\n"         \
	"int f3(int x){s2=x;return f1(x)^" k ";}\n"                         \
	"int f4(int x){return f3(x)+f2(\"text\");}\nint use(int x){return " \
	"f4(x)*2;}" MAIN
	const char *cc = GCC " -s";
	_cleanup_(diff_pair_free) struct diff_pair p =
		diff_pair_make(cc, SHAPES("5"), cc, SHAPES("5"));
	_cleanup_(diff_pair_free) struct diff_pair q =
		diff_pair_make(cc, SHAPES("5"), cc, SHAPES("6"));

	ck_assert(p.d->by_shape);
	ck_assert_uint_eq(p.d->count[FUNC_SAME], p.d->funcs.n);
	ck_assert_uint_ge(p.d->funcs.n, 7);
	ck_assert_uint_eq(q.d->count[FUNC_SAME], q.d->funcs.n - 1);
	ck_assert_uint_eq(q.d->count[FUNC_IMM], 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("diff_data");
	TCase *t = tcase_create("diff_data");

	tcase_set_timeout(t, 50);
	tcase_add_test(t, initialiser_and_size);
	tcase_add_test(t, shifted_data_is_same);
	tcase_add_test(t, data_to_bss);
	tcase_add_test(t, static_locals_by_scope);
	tcase_add_test(t, static_locals_without_dwarf);
	tcase_add_test(t, unclear_static_locals_stay_apart);
	tcase_add_test(t, loop_end);
	tcase_add_test(t, boundary_is_never_falsely_same);
	tcase_add_test(t, list_of_linker_grows);
	tcase_add_test(t, const_object_changes_by_itself);
	tcase_add_test(t, pointers_in_data_are_followed);
	tcase_add_test(t, names_with_line_numbers);
	tcase_add_test(t, renamed_source_file);
	tcase_add_test(t, template_of_automatic_array);
	tcase_add_test(t, pieces_of_a_structure);
	tcase_add_test(t, facts);
	tcase_add_test(t, meaning_of_a_type);
	tcase_add_test(t, written_at_start_only);
	tcase_add_test(t, stripped_programs);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
