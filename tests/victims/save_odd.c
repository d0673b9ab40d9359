// SPDX-License-Identifier: LGPL-2.1-or-later
// Processes that cannot be saved, each for a reason of its own: the argument says which.
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/victims/self.h"

static pthread_barrier_t there;

static void nothing(void)
{
}

static void *unshares(void *flags)
{
	must(unshare((int)(intptr_t)flags));
	pthread_barrier_wait(&there);
	for (;;)
		pause();
}

static void unshared(int flags)
{
	pthread_t t;

	pthread_barrier_init(&there, NULL, 2);
	must(-pthread_create(&t, NULL, unshares, (void *)(intptr_t)flags));
	pthread_barrier_wait(&there);
}

static void ldt(void)
{
	struct {
		unsigned entry, base, limit, flags;
	} d = {0, 0, 0xfffff, 0x51};

	if (syscall(SYS_modify_ldt, 1, &d, sizeof(d)) < 0)
		skip("no modify_ldt");
}

static void deadline(void)
{
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
	} a = {sizeof(a), 6, 1 /* reset on fork: molt makes a thread */, 0, 0, 100000, 50000000, 50000000};

	if (syscall(SYS_sched_setattr, 0, &a, 0) < 0)
		skip("no SCHED_DEADLINE: %m");
}

static void tracer(void)
{
	pid_t pid = must(fork());
	int status;

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		for (;;)
			pause();
	}
	must(waitpid(pid, &status, 0));
}

static int shares(void *arg)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!arg)
		pause();
	return 0;
}

static void memory(void)
{
	static char stack[65536];

	must(clone(shares, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL));
}

static char selector;

static void dispatch(void)
{
	if (prctl(59, 1, 0, 0, &selector) < 0)
		skip("no PR_SET_SYSCALL_USER_DISPATCH");
}

static void folder(void)
{
	must(mkdir("gone", 0700));
	must(chdir("gone"));
	must(rmdir("../gone"));
}

static void *lives_on(void *arg)
{
	(void)arg;
	self_run(nothing);
}

static void leader(void)
{
	pthread_t t;

	must(-pthread_create(&t, NULL, lives_on, NULL));
	pthread_exit(NULL);
}

static void notify(void)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_swapon, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof(f) / sizeof(*f), f};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog));
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	self_block();
	if (!strcmp(what, "files"))
		unshared(CLONE_FILES);
	else if (!strcmp(what, "fs"))
		unshared(CLONE_FS);
	else if (!strcmp(what, "thread-namespace"))
		unshared(CLONE_NEWUTS);
	else if (!strcmp(what, "namespace"))
		must(unshare(CLONE_NEWUTS));
	else if (!strcmp(what, "ldt"))
		ldt();
	else if (!strcmp(what, "deadline"))
		deadline();
	else if (!strcmp(what, "tracer"))
		tracer();
	else if (!strcmp(what, "memory"))
		memory();
	else if (!strcmp(what, "dispatch"))
		dispatch();
	else if (!strcmp(what, "folder"))
		folder();
	else if (!strcmp(what, "leader"))
		leader();
	else if (!strcmp(what, "notify"))
		notify();
	self_run(nothing);
}
