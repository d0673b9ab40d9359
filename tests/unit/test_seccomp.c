// SPDX-License-Identifier: LGPL-2.1-or-later
// What a seccomp filter would say, with and without the arguments known.
#include <check.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "process/seccomp.h"

#define LOAD(what) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, what))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)

// Namespaces are refused, executable memory that can be written fails, ptrace kills, the rest is allowed.
static struct sock_filter program[] = {
	LOAD(arch),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
	RETURN(SECCOMP_RET_KILL_PROCESS),
	LOAD(nr),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 1),
	RETURN(SECCOMP_RET_KILL_PROCESS),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4),
	LOAD(args[0]),
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_NEWUSER, 0, 1),
	RETURN(SECCOMP_RET_TRAP),
	RETURN(SECCOMP_RET_ALLOW),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 6),
	LOAD(args[2]),
	BPF_STMT(BPF_ALU | BPF_AND | BPF_K, PROT_WRITE | PROT_EXEC),
	BPF_STMT(BPF_ST, 3),
	BPF_STMT(BPF_LDX | BPF_W | BPF_MEM, 3),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PROT_WRITE | PROT_EXEC, 0, 1),
	RETURN(SECCOMP_RET_ERRNO | 1),
	RETURN(SECCOMP_RET_ALLOW),
};

static enum seccomp_answer ask(long nr, uint64_t a0, uint64_t a2, unsigned known)
{
	struct seccomp_filter f = {.v = {program, sizeof(program) / sizeof(*program), 0}};
	struct seccomp s = {.filters = {&f, 1, 0}};

	return seccomp_ask(&s, nr, (uint64_t[6]){a0, 0, a2}, known);
}

START_TEST(known_arguments)
{
	ck_assert_int_eq(ask(SYS_read, 0, 0, 0), SECCOMP_ALLOWS);
	ck_assert_int_eq(ask(SYS_ptrace, 0, 0, SECCOMP_ALL_ARGS), SECCOMP_KILLS);
	ck_assert_int_eq(ask(SYS_clone, CLONE_VM, 0, SECCOMP_ALL_ARGS), SECCOMP_ALLOWS);
	ck_assert_int_eq(ask(SYS_clone, CLONE_NEWUSER, 0, SECCOMP_ALL_ARGS),
			 SECCOMP_KILLS);
	ck_assert_int_eq(ask(SYS_mmap, 0, PROT_READ | PROT_EXEC, SECCOMP_ALL_ARGS),
			 SECCOMP_ALLOWS);
	ck_assert_int_eq(ask(SYS_mmap, 0, PROT_WRITE | PROT_EXEC, SECCOMP_ALL_ARGS),
			 SECCOMP_FAILS);
}
END_TEST

START_TEST(unknown_arguments_take_the_worst)
{
	ck_assert_int_eq(ask(SYS_clone, 0, 0, 0), SECCOMP_KILLS);
	ck_assert_int_eq(ask(SYS_mmap, 0, 0, 0), SECCOMP_FAILS);
	ck_assert_int_eq(ask(SYS_mmap, 0, 0, 1 << 2), SECCOMP_ALLOWS);
}
END_TEST

START_TEST(damaged_filters_kill)
{
	struct sock_filter runs_out[] = {LOAD(nr)};
	struct seccomp_filter f = {.v = {runs_out, 1, 0}};
	struct seccomp s = {.filters = {&f, 1, 0}};

	ck_assert_int_eq(seccomp_ask(&s, SYS_read, (uint64_t[6]){0}, 0), SECCOMP_KILLS);
	s.filters.n = 0;
	ck_assert_int_eq(seccomp_ask(&s, SYS_read, (uint64_t[6]){0}, 0), SECCOMP_ALLOWS);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("seccomp");
	TCase *t = tcase_create("ask");

	tcase_add_test(t, known_arguments);
	tcase_add_test(t, unknown_arguments_take_the_worst);
	tcase_add_test(t, damaged_filters_kill);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
