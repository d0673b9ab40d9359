// SPDX-License-Identifier: LGPL-2.1-or-later
// Targets that do unusual things while they are stopped, and those that may not be touched.
#include <check.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "os/proc.h"
#include "process/helper.h"

static const uint64_t MS = 1000000;

#define ck_ok(expr)                                              \
	do {                                                     \
		struct err *e_ = (expr);                         \
		ck_assert_msg(!e_, "%s", e_ ? e_->message : ""); \
	} while (0)

static pid_t child(void (*body)(int), int fd)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		body(fd);
		_exit(0);
	}
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void nap_ms(int ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

static void sleep_for_ever(int fd)
{
	(void)fd;
	for (;;)
		pause();
}

static void tell(int fd)
{
	if (write(fd, "r", 1) != 1)
		_exit(2);
}

static void hear(int fd)
{
	char c;

	alarm(20);
	ck_assert_int_eq(read(fd, &c, 1), 1);
	alarm(0);
}

enum { CHILDREN = 60 };

static int leaf(void *arg)
{
	(void)arg;
	return 7;
}

// Processes of all kinds: fork, vfork with exec, and clone with a signal of its own, which a tracer of threads
// gets attached to.
static void make_processes(int fd)
{
	char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *argv[] = {(char[]){"true"}, NULL};

	tell(fd);
	for (int i = 0; i < CHILDREN; i++) {
		int status;
		pid_t pid = fork();

		if (!pid)
			_exit(7);
		if (waitpid(pid, &status, __WALL) != pid || WEXITSTATUS(status) != 7)
			_exit(3);
		pid = clone(leaf, stack + 65536, SIGUSR1, NULL);
		if (waitpid(pid, &status, __WALL) != pid || WEXITSTATUS(status) != 7)
			_exit(4);
		if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, NULL) ||
		    waitpid(pid, &status, __WALL) != pid || status)
			_exit(5);
	}
	tell(fd);
	sleep_for_ever(fd);
}

static void clone_child_signal(int sig)
{
	(void)sig;
}

START_TEST(children_are_left_alone)
{
	struct process *p;
	int fd[2], frozen = 0;
	char c;

	signal(SIGUSR1, clone_child_signal);
	ck_assert_int_eq(pipe2(fd, O_CLOEXEC), 0);
	pid_t pid = child(make_processes, fd[1]);
	hear(fd[0]);
	fcntl(fd[0], F_SETFL, O_NONBLOCK);
	ck_ok(process_open(pid, &p));
	for (int i = 0; i < 4000 && read(fd[0], &c, 1) != 1; i++) {
		struct err *e = process_freeze(p, monotonic_ns() + 500 * MS, NULL);
		// A vfork in progress may be too slow on a loaded machine.
		ck_assert_msg(!e || e->kind == ERR_BUSY, "%s", e ? e->message : "");
		frozen += !e;
		err_free(e);
		ck_ok(process_thaw(p, NULL));
		nap_ms(1);
		ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
	}
	ck_assert_int_eq(c, 'r');
	ck_assert_int_gt(frozen, 20);
	process_close(p);
	end(pid);
}
END_TEST

static void exec_again(int fd)
{
	static char self[64], number[16];

	snprintf(self, sizeof(self), "/proc/self/exe");
	snprintf(number, sizeof(number), "%d", fd);
	execl(self, "test_odd_targets", "exec", number, (char *)NULL);
}

// The program execs itself without end; freezes fall anywhere. None may hang or kill it.
START_TEST(exec_in_between)
{
	struct process *p;
	int fd[2], replaced = 0;

	ck_assert_int_eq(pipe(fd), 0);
	pid_t pid = child(exec_again, fd[1]);
	hear(fd[0]);
	for (int i = 0; i < 60; i++) {
		ck_ok(process_open(pid, &p));
		struct err *e = process_freeze(p, monotonic_ns() + 1000 * MS, NULL);
		replaced += e && e->code && !strcmp(e->code, "program-replaced");
		ck_assert_msg(!e || e->kind == ERR_REFUSED, "%s", e ? e->message : "");
		err_free(e);
		process_close(p);
		nap_ms(1 + i % 3);
		hear(fd[0]);
	}
	printf("exec: seen %d times of 60\n", replaced);
	ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
	end(pid);
}
END_TEST

static void *sleeper(void *arg)
{
	sleep_for_ever(0);
	return arg;
}

static void leave_first_thread(int fd)
{
	pthread_t t;

	pthread_create(&t, NULL, sleeper, NULL);
	tell(fd);
	pthread_exit(NULL);
}

START_TEST(first_thread_has_ended)
{
	struct process *p;
	int fd[2];

	ck_assert_int_eq(pipe(fd), 0);
	pid_t pid = child(leave_first_thread, fd[1]);
	hear(fd[0]);
	struct os_status s;
	do
		ck_assert_int_eq(os_proc_status(pid, 0, &s), 0);
	while (s.state != 'Z');
	// Its memory cannot be reached by the process's id any more.
	struct err *e = process_open(pid, &p);
	ck_assert_ptr_nonnull(e);
	ck_assert_str_eq(e->code, "zombie");
	ck_assert_msg(strstr(e->message, "first thread"), "%s", e->message);
	err_free(e);
	end(pid);
}
END_TEST

static void filter_calls(int fd)
{
	struct sock_filter all_but[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_create, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {4, all_but};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		_exit(2);
	tell(fd);
	sleep_for_ever(fd);
}

START_TEST(seccomp_is_refused)
{
	struct process *p;
	struct helper *h;
	int fd[2];

	ck_assert_int_eq(pipe(fd), 0);
	pid_t pid = child(filter_calls, fd[1]);
	hear(fd[0]);
	ck_ok(process_open(pid, &p));
	struct err *e = helper_start(p, 0, &h);
	ck_assert_ptr_nonnull(e);
	ck_assert_int_eq(e->kind, ERR_REFUSED);
	ck_assert_str_eq(e->code, "seccomp");
	err_free(e);
	process_close(p);
	end(pid);
}
END_TEST

static void may_not_clone(int fd)
{
	struct epoll_event e;
	int ep = epoll_create1(0);

	if (setgid(65534) || setuid(65534) ||
	    setrlimit(RLIMIT_NPROC, &(struct rlimit){0, 0}))
		_exit(2);
	tell(fd);
	for (;;) {
		if (epoll_wait(ep, &e, 1, 5))
			_exit(3);
	}
}

START_TEST(clone_fails)
{
	struct process *p;
	struct helper *h;
	int fd[2];

	if (geteuid()) // only root can become another user
		return;
	ck_assert_int_eq(pipe(fd), 0);
	pid_t pid = child(may_not_clone, fd[1]);
	hear(fd[0]);
	ck_ok(process_open(pid, &p));
	for (int i = 0; i < 3; i++) {
		struct err *e = helper_start(p, 0, &h);
		ck_assert_ptr_nonnull(e);
		ck_assert_int_eq(e->errnum, EAGAIN);
		err_free(e);
		ck_ok(process_freeze(p, monotonic_ns() + 1000 * MS, NULL));
		ck_ok(process_thaw(p, NULL));
	}
	process_close(p);
	nap_ms(20);
	ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
	end(pid);
}
END_TEST

START_TEST(other_user)
{
	struct process *p;

	if (geteuid()) // only root can become another user
		return;
	pid_t target = child(sleep_for_ever, -1);
	pid_t pid = fork();
	if (!pid) {
		if (setgid(65534) || setuid(65534))
			_exit(2);
		struct err *e = process_open(target, &p);
		_exit(!e || e->kind != ERR_PERM || strcmp(e->code, "no-permission") ||
		      !strstr(e->message, "CAP_SYS_PTRACE") ||
		      !strstr(e->message, "65534"));
	}
	int status;
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
	end(target);
}
END_TEST

// mov $29, %eax (pause); int $0x80; jmp back
static const uint8_t pause32[] = {0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7};

START_TEST(program_of_32_bits)
{
	struct {
		Elf32_Ehdr h;
		Elf32_Phdr p;
		uint8_t code[sizeof(pause32)];
	} f = {
		.h = {.e_type = ET_EXEC,
		      .e_machine = EM_386,
		      .e_version = EV_CURRENT,
		      .e_entry = 0x10000 + sizeof(Elf32_Ehdr) + sizeof(Elf32_Phdr),
		      .e_phoff = sizeof(Elf32_Ehdr),
		      .e_ehsize = sizeof(Elf32_Ehdr),
		      .e_phentsize = sizeof(Elf32_Phdr),
		      .e_phnum = 1},
		.p = {.p_type = PT_LOAD,
		      .p_vaddr = 0x10000,
		      .p_filesz = sizeof(f),
		      .p_memsz = sizeof(f),
		      .p_flags = PF_R | PF_X,
		      .p_align = 4096},
	};
	struct process *p;
	int told[2];
	char c;

	memcpy(f.h.e_ident, "\177ELF\1\1\1", 7);
	memcpy(f.code, pause32, sizeof(pause32));
	int fd = memfd_create("pause32", MFD_CLOEXEC);
	ck_assert_int_eq(write(fd, &f, sizeof(f)), sizeof(f));
	ck_assert_int_eq(pipe2(told, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (!pid) {
		fexecve(fd, (char *[]){(char[]){"pause32"}, NULL}, (char *[]){NULL});
		tell(told[1]);
		_exit(0);
	}
	close(told[1]);
	// End of file: it runs. A byte: this kernel runs no such programs.
	if (read(told[0], &c, 1) == 0) {
		struct err *e = process_open(pid, &p);

		ck_assert_ptr_nonnull(e);
		ck_assert_int_eq(e->kind, ERR_REFUSED);
		ck_assert_str_eq(e->code, "not-64-bit");
		err_free(e);
	} else {
		printf("32 bits: not tested, the kernel runs no such programs\n");
	}
	end(pid);
	close(fd);
}
END_TEST

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "exec")) {
		int fd = atoi(argv[2]);

		fcntl(fd, F_SETFL, O_NONBLOCK);
		(void)!write(fd, "r", 1);
		exec_again(fd);
	}
	Suite *s = suite_create("odd_targets");
	TCase *t = tcase_create("odd");

	tcase_set_timeout(t, 40);
	tcase_add_test(t, children_are_left_alone);
	tcase_add_test(t, exec_in_between);
	tcase_add_test(t, first_thread_has_ended);
	tcase_add_test(t, seccomp_is_refused);
	tcase_add_test(t, clone_fails);
	tcase_add_test(t, other_user);
	tcase_add_test(t, program_of_32_bits);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failures = srunner_ntests_failed(r);
	srunner_free(r);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
