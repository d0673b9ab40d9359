// SPDX-License-Identifier: LGPL-2.1-or-later
// Verdicts over frames, on pairs of small programs that gcc compiles here. Each waits in hold().
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "diff/flow.h"
#include "elf/cfi.h"
#include "util/cleanup.h"

static const char prelude[] =
	"#include <unistd.h>\n"
	"#include <stdlib.h>\n"
	"volatile long sink;\n"
	"__attribute__((noipa)) void hold(void) { pause(); }\n"
	"__attribute__((noipa)) long act(const char *s, long n) { sink += n + *s; return "
	"n; }\n"
	"__attribute__((noipa)) void fill(long *p) { *p = sink; }\n"
	"#ifndef V2\n#define V1 1\n#endif\n"
	"long run(long n, char *s);\n"
	"int main(int argc, char **argv) { return (int)run(argc, argv[0]); }\n";

struct flow_case {
	const char *name, *flags, *body;
	enum frame_verdict verdict;
	const char *reason; // part of it
};

#define O0 "-O0"
#define O2 "-O2"

// What differs stands between "#ifdef V2"s, or is X("old", "new").
static const struct flow_case cases[] = {
	{"untouched", O2, "long run(long n, char *s) { hold(); return act(s, n); }",
	 FRAME_SAME, NULL},
	{"version string before a loop", O2,
	 "long run(long n, char *s) { act(X(\"1.0\", \"1.1\"), 1);"
	 "for (;;) { hold(); act(s, n); } }",
	 FRAME_NOTHING_LEFT, NULL},
	{"version string before a loop", O0,
	 "long run(long n, char *s) { act(X(\"1.0\", \"1.1\"), 1);"
	 "for (;;) { hold(); act(s, n); } }",
	 FRAME_NOTHING_LEFT, NULL},
	{"constant in a register across the call", O2,
	 "long run(long n, char *s) { const char *v = X(\"1.0\", \"1.1\");"
	 "asm(\"\" : \"+r\"(v)); for (;;) { hold(); act(v, n); } }",
	 FRAME_WAIT, "is live here"},
	{"constant in a slot across the call", O0,
	 "long run(long n, char *s) { long k = X(5, 6); hold(); return act(s, n + k); }",
	 FRAME_WAIT, "a local variable is live here"},
	{"derived from a constant", O2,
	 "long run(long n, char *s) { long a = sink * X(3, 5); long b = a ^ n; hold();"
	 "return act(s, b); }",
	 FRAME_WAIT, "is live here"},
	{"result of a call with another argument",
	 O2, "long run(long n, char *s) { long a = act(s, X(3, 5)); hold(); return act(s, a); }",
	 FRAME_WAIT, "is live here"},
	{"result of the call it waits in",
	 O2, "long run(long n, char *s) { act(s, X(3, 5)); hold(); return act(s, n + X(7, 8)); }",
	 FRAME_PREFIX, NULL},
	{"change behind the call, in a loop", O2,
	 "long run(long n, char *s) { for (;;) { hold(); act(s, sink * X(3, 5)); } }",
	 FRAME_PREFIX, NULL},
	{"change behind the call, in a loop", O0,
	 "long run(long n, char *s) { for (;;) { hold(); act(s, sink * X(3, 5)); } }",
	 FRAME_PREFIX, NULL},
	{"inserted code behind the call", O2,
	 "long run(long n, char *s) { for (;;) { hold();\n#ifdef V2\nif (sink > 5) sink "
	 "= 9;\n"
	 "#endif\nact(s, n); } }",
	 FRAME_PREFIX, NULL},
	{"registers exchanged", O2,
	 "long run(long n, char *s) { for (;;) { hold();\n#ifdef V2\nif (sink > n) "
	 "act(s, 9);\n"
	 "#endif\nact(s, n); } }",
	 FRAME_WAIT, "is live here"},
	{"change before the call only", O2,
	 "long run(long n, char *s) { act(s, X(1, 2)); hold(); return act(s, n); }",
	 FRAME_NOTHING_LEFT, NULL},
	{"inserted call before the call, and a change behind", O2,
	 "long run(long n, char *s) {\n#ifdef V2\nact(s, 7);\n#endif\nfor (;;) { hold();"
	 "act(s, sink * X(3, 5)); } }",
	 FRAME_WAIT, "would be skipped"},
	{"a lock around the call", O2,
	 "long run(long n, char *s) { for (;;) {\n#ifdef "
	 "V2\ngetppid();\n#endif\nhold();\n"
	 "#ifdef V2\ngetpid();\n#endif\nsink++; } }",
	 FRAME_WAIT, "would be skipped"},
	{"a lock around the call is gone", O2,
	 "long run(long n, char *s) { for (;;) {\n#ifdef "
	 "V1\ngetppid();\n#endif\nhold();\n"
	 "#ifdef V1\ngetpid();\n#endif\nsink++; } }",
	 FRAME_WAIT, "is gone"},
	{"a changed bound before the call", O2,
	 "long run(long n, char *s) { if (n > X(10, 5)) return 0; hold();"
	 "return act(s, sink * X(3, 5)); }",
	 FRAME_WAIT, "check"},
	{"a value chosen by a changed check", O2,
	 "long run(long n, char *s) { long m = 1; if (n > X(3, 5)) m = sink; hold();"
	 "return act(s, m); }",
	 FRAME_WAIT, "depends on the check"},
	{"a value chosen in an earlier round", O2,
	 "long run(long n, char *s) { long m = 1; for (;;) { hold(); if (sink > X(3, 5))"
	 "m = sink; act(s, m); } }",
	 FRAME_WAIT, "depends on the check"},
	{"a smaller frame under a frame pointer", "-Os -fno-omit-frame-pointer",
	 "long run(long n, char *s) { long c = n + 3, d = n, e = 7, v[4] = {1, 2, 3, 4}; "
	 "hold();"
	 "d = act(s, c * d); for (int i = 0; i < 3; i++) {\n#ifdef V1\n"
	 "e = act(s, 21) ^ ((e + n) ^ (d - c));\n#endif\n"
	 "act(s, c - act(s, c)); if ((c & 63) > 50) { e = c; act(s, 4); } act(s, v[e & "
	 "3]); }"
	 "return act(s, e ^ d ^ c); }",
	 FRAME_WAIT, "another size"},
	{"an object written before the loop", O2,
	 "long run(long n, char *s) { long a = X(1, 2); for (;;) { hold(); fill(&a);"
	 "act(s, a); } }",
	 FRAME_WAIT, "a local variable is live here"},
	{"a larger frame", O2,
	 "long run(long n, char *s) { long a[X(1, 8)]; fill(a); hold(); fill(a + X(0, "
	 "5));"
	 "return act(s, a[0] + n); }",
	 FRAME_WAIT, NULL},
	{"an object in the frame", O2,
	 "long run(long n, char *s) { long a; for (;;) { fill(&a); hold();"
	 "act(s, a + X(1, 2)); } }",
	 FRAME_PREFIX, NULL},
	{"another call of the same shape", O2,
	 "__attribute__((noipa)) long other(const char *s, long n) { return *s * n; }\n"
	 "long run(long n, char *s) { X(act, other)(s, 1); hold();"
	 "return act(s, sink * X(3, 5)); }",
	 FRAME_WAIT, "would be skipped"},
	{"a jump table with one case changed", O2,
	 "long run(long n, char *s) { for (;;) { hold(); switch (sink) {"
	 "case 0: act(s, 3); break; case 1: sink = 9; break; case 2: act(s, X(5, 6)); "
	 "break;"
	 "case 3: act(s + 1, 2); break; case 4: act(s, n); break; case 5: fill(&n); "
	 "break;"
	 "case 6: act(s + 3, 1); break; } } }",
	 FRAME_PREFIX, NULL},
	{"a jump table behind, a change before", O2,
	 "long run(long n, char *s) { act(X(\"a\", \"b\"), 1); for (;;) { hold(); switch "
	 "(sink) {"
	 "case 0: act(s, 3); break; case 1: sink = 9; break; case 2: act(s, 5); break;"
	 "case 3: act(s + 1, 2); break; case 4: act(s, n); break; case 5: fill(&n); "
	 "break;"
	 "case 6: act(s + 3, 1); break; } } }",
	 FRAME_NOTHING_LEFT, NULL},
	{"computed goto", O2,
	 "long run(long n, char *s) { static void *const to[] = { &&a, &&b, &&c };"
	 "act(s, X(1, 2)); hold(); goto *to[sink % 3]; a: act(s, 1); b: sink = 3;"
	 "c: return act(s, n); }",
	 FRAME_WAIT, "leads"},
	{"the call is gone", O2,
	 "long run(long n, char *s) {\n#ifdef V1\nhold();\n#endif\nreturn act(s, n); }",
	 FRAME_WAIT, "no twin"},
	{"more options before the loop", O2,
	 "long run(long n, char *s) { for (; *s; s++) { switch (*s) { case 'a': act(s, "
	 "3); break;"
	 "case 'b': sink = 9; break; case 'c': act(s, 5); break; case 'd': fill(&n); "
	 "break;"
	 "case 'e': act(s, n); break; case 'f': sink += 4; break;\n#ifdef V2\n"
	 "case 'g': act(s, 77); break; case 'h': sink = 12; break;\n#endif\n } }"
	 "for (;;) { hold(); sink++; } }",
	 FRAME_NOTHING_LEFT, NULL},
};

// With the comparison of types: frames that hold an object of another layout must return first.
static const struct flow_case type_cases[] = {
	{"an object of another layout", O2,
	 "struct s { int X(a, b), X(b, a); };"
	 "__attribute__((noipa)) void get(struct s *p) { p->a = 1; p->b = sink; }"
	 "__attribute__((noipa)) int use(struct s *p) { return p->b; }"
	 "long run(long n, char *s) { struct s x; get(&x); hold(); return use(&x); }",
	 FRAME_WAIT, "which has another layout"},
	{"an array of it in a block", O2,
	 "typedef struct { int X(a, b), X(b, a); } s_t; struct o { s_t v[2]; };"
	 "__attribute__((noipa)) void get(s_t *p) { p->a = 1; p->b = sink; }"
	 "__attribute__((noipa)) int use(s_t *p) { return p->b; }"
	 "long run(long n, char *s) { long r = 0; for (;;) { struct o x; get(x.v); "
	 "hold();"
	 "r += use(x.v + 1); } return r; }",
	 FRAME_WAIT, "which has another layout"},
	{"an object written behind the call, in a loop", O2,
	 "long run(long n, char *s) { long a; for (;;) { fill(&a); hold(); a += X(1, 2);"
	 "fill(&a); act(s, a); } }",
	 FRAME_PREFIX, NULL},
	{"only a pointer to it", O2,
	 "struct s { int X(a, b), X(b, a); };"
	 "__attribute__((noipa)) int use(struct s *p) { return p->b; }"
	 "long run(long n, char *s) { struct s *p = (void *)s; hold(); return use(p); }",
	 FRAME_SAME, NULL},
	{"parameters exchanged", O2,
	 "__attribute__((noipa)) long f(X(long n, char *s), X(char *s, long n)) { for "
	 "(;;) {"
	 "hold(); if (sink) break; } return act(X(s, (char *)n), X(n, (long)s)) + X(1, "
	 "2); }"
	 "long run(long n, char *s) { return X(f(n, s), f(s, n)); }",
	 FRAME_WAIT, NULL},
};

struct program {
	char path[64];
	struct module *m;
	struct cfi *cfi;
};

struct setting {
	char dir[32];
	struct program old, new;
	struct diff *d;
};

static void compile(struct program *p, const char *dir, const struct flow_case *c, bool v2)
{
	char source[64], command[512];
	FILE *f;

	snprintf(p->path, sizeof(p->path), "%s/v%d", dir, 1 + v2);
	snprintf(source, sizeof(source), "%s/v%d.c", dir, 1 + v2);
	f = fopen(source, "we");
	ck_assert_ptr_nonnull(f);
	fprintf(f, "#define %s\n#define X(a, b) %s\n%s%s\n", v2 ? "V2" : "NOT_V2",
		v2 ? "b" : "a", prelude, c->body);
	ck_assert_int_eq(fclose(f), 0);
	snprintf(command, sizeof(command), "gcc -g -fPIE -pie %s -w -o %s %s", c->flags,
		 p->path, source);
	ck_assert_int_eq(system(command), 0);
	ck_assert_ptr_null(module_open(p->path, NULL, &p->m));
	ck_assert_ptr_null(cfi_open(p->m, &p->cfi));
}

static void setup(struct setting *s, const struct flow_case *c, bool types)
{
	struct diff_options opt = {.skip_types = !types, .threads = 1};
	struct err *e;

	strcpy(s->dir, "/tmp/molt-flow-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(s->dir));
	compile(&s->old, s->dir, c, false);
	compile(&s->new, s->dir, c, true);
	e = diff_programs(s->old.m, s->new.m, &opt, &s->d);
	ck_assert_msg(!e, "%s: %s", c->name, e ? e->message : "");
}

static void teardown(struct setting *s)
{
	char path[64];

	diff_free(s->d);
	for (struct program *p = &s->old; p; p = p == &s->old ? &s->new : NULL) {
		cfi_free(p->cfi);
		module_close(p->m);
		unlink(p->path);
		snprintf(path, sizeof(path), "%s.c", p->path);
		unlink(path);
	}
	rmdir(s->dir);
}

static bool rules_equal(vaddr_t old_pc, vaddr_t new_pc, void *arg)
{
	const struct setting *s = arg;
	struct cfi_row a, b;

	return cfi_find(s->old.cfi, old_pc, &a) && cfi_find(s->new.cfi, new_pc, &b) &&
	       cfi_row_equal(&a, &b);
}

static uint32_t old_function(const struct setting *s, const char *name)
{
	for (uint32_t i = 0; i < s->d->old_funcs.n; i++)
		if (!strcmp(s->d->old_funcs.v[i].name, name))
			return i;
	ck_abort_msg("no function %s", name);
}

// The address behind the call of `callee`.
static vaddr_t behind_call(const struct module *m, const struct body *b,
			   const char *callee)
{
	const struct symbol *to = module_symbol_named(m, callee);

	vec_for_each(i, &b->insns)
		if ((i->flags & INSN_CALL) && i->target == to->addr)
			return i->addr + i->len;
	ck_abort_msg("no call of %s", callee);
}

static void check_case(const struct flow_case *c, const char *function, bool types)
{
	struct setting s = {0};
	struct frame_judgement j;
	const struct func *run;
	uint32_t index;

	setup(&s, c, types);
	index = old_function(&s, function);
	run = &s.d->old_funcs.v[index];
	ck_assert_ptr_null(frame_judge(s.d, index, behind_call(s.old.m, &run->body, "hold"),
				       false, rules_equal, &s, &j));
	ck_assert_msg(j.verdict == c->verdict, "%s (%s): %s, not %s; %s", c->name,
		      c->flags, frame_verdict_name(j.verdict),
		      frame_verdict_name(c->verdict), j.reason);
	if (c->reason)
		ck_assert_msg(strstr(j.reason, c->reason) != NULL, "%s: \"%s\"", c->name,
			      j.reason);
	if (j.verdict != FRAME_WAIT) {
		const struct symbol *hold = module_symbol_named(s.new.m, "hold");
		uint32_t f = diff_new_func_at(s.d, j.new_pc), i;

		ck_assert_uint_ne(f, NO_TWIN);
		i = body_index_ending(&s.d->new_funcs.v[f].body, j.new_pc);
		ck_assert_uint_ne(i, UINT32_MAX);
		ck_assert_uint_eq(s.d->new_funcs.v[f].body.insns.v[i].target, hold->addr);
	} else {
		ck_assert_uint_gt(strlen(j.reason), 10);
	}
	teardown(&s);
}

START_TEST(verdicts)
{
	check_case(&cases[_i], "run", false);
}
END_TEST

START_TEST(verdicts_by_types)
{
	check_case(&type_cases[_i], strstr(type_cases[_i].body, " f(X") ? "f" : "run",
		   true);
}
END_TEST

// A thread that waits in a system call of its own: pc is exact, and the kernel may repeat the call.
START_TEST(inline_system_call)
{
	static const struct flow_case c = {
		"inline system call", O2,
		"long run(long n, char *s) { act(X(\"1.0\", \"1.1\"), 1); for (;;) { "
		"long r = 34;"
		"asm volatile(\"syscall\" : \"+a\"(r) : : \"rcx\", \"r11\", \"memory\");"
		"act(s, X(1, 2)); } }",
		FRAME_PREFIX, NULL};
	struct setting s = {0};
	struct frame_judgement j;
	uint32_t index;

	setup(&s, &c, false);
	index = old_function(&s, "run");
	vec_for_each(i, &s.d->old_funcs.v[index].body.insns) {
		if (!(i->flags & INSN_SYSCALL))
			continue;
		ck_assert_ptr_null(frame_judge(s.d, index, i->addr + i->len, true,
					       rules_equal, &s, &j));
		ck_assert_msg(j.verdict == FRAME_PREFIX, "%s", j.reason);
		ck_assert_int_eq(
			memcmp(module_bytes(s.new.m, j.new_pc - 2, 2), "\x0f\x05", 2), 0);
		// At the instruction itself, as after a signal that interrupted it.
		ck_assert_ptr_null(
			frame_judge(s.d, index, i->addr, true, rules_equal, &s, &j));
		ck_assert_msg(j.verdict == FRAME_PREFIX, "%s", j.reason);
		ck_assert_int_eq(
			memcmp(module_bytes(s.new.m, j.new_pc, 2), "\x0f\x05", 2), 0);
	}
	teardown(&s);
}
END_TEST

// Any instruction of an unchanged function has its place; one of a removed function has none.
START_TEST(exact_and_removed)
{
	static const struct flow_case c = {"removed", O2,
					   "\n#ifdef V1\n__attribute__((noipa)) void "
					   "gone(void) { hold(); sink++; }\n#endif\n"
					   "long run(long n, char *s) {\n#ifdef "
					   "V1\ngone();\n#endif\nreturn act(s, n); }",
					   FRAME_WAIT, NULL};
	struct setting s = {0};
	struct frame_judgement j;
	uint32_t index;

	setup(&s, &c, false);
	index = old_function(&s, "act");
	vec_for_each(i, &s.d->old_funcs.v[index].body.insns) {
		ck_assert_ptr_null(
			frame_judge(s.d, index, i->addr, true, rules_equal, &s, &j));
		ck_assert_msg(j.verdict == FRAME_SAME, "%s", j.reason);
		ck_assert_ptr_null(
			frame_judge(s.d, index, i->addr + 1, true, rules_equal, &s, &j));
		if (i->len > 1)
			ck_assert_int_eq(j.verdict, FRAME_WAIT);
	}
	index = old_function(&s, "gone");
	ck_assert_ptr_null(frame_judge(
		s.d, index, behind_call(s.old.m, &s.d->old_funcs.v[index].body, "hold"),
		false, rules_equal, &s, &j));
	ck_assert_int_eq(j.verdict, FRAME_WAIT);
	ck_assert_ptr_nonnull(strstr(j.reason, "gone"));
	teardown(&s);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("flow");
	TCase *t = tcase_create("flow");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 50);
	tcase_add_loop_test(t, verdicts, 0, (int)ARRAY_SIZE(cases));
	tcase_add_loop_test(t, verdicts_by_types, 0, (int)ARRAY_SIZE(type_cases));
	tcase_add_test(t, inline_system_call);
	tcase_add_test(t, exact_and_removed);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
