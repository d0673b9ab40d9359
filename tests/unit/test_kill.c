// SPDX-License-Identifier: LGPL-2.1-or-later
// The tool is killed before its first call that touches the target, before its second, and so on to its last
// one. The target never notices.
#include <check.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "os/proc.h"
#include "process/helper.h"
#include "process/memory.h"
#include "victim.h"

enum { PAGE = 4096, CALLS_MAX = 2000 };
static const uint64_t MS = 1000000;

// Calls that are left until the end; 0 in the test itself.
static long calls_left;

static void count_call(void)
{
	if (calls_left && !--calls_left)
		kill(getpid(), SIGKILL);
}

// The linker sends every ptrace and every write to the target through these (--wrap).
long __real_syscall(long nr, ...);
long __wrap_syscall(long nr, ...);
ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t at);
ssize_t __real_process_vm_writev(pid_t pid, const struct iovec *l, unsigned long nl,
				 const struct iovec *r, unsigned long nr,
				 unsigned long flags);
ssize_t __wrap_process_vm_writev(pid_t pid, const struct iovec *l, unsigned long nl,
				 const struct iovec *r, unsigned long nr,
				 unsigned long flags);

long __wrap_syscall(long nr, ...)
{
	long a[6];
	va_list ap;

	va_start(ap, nr);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (nr == SYS_ptrace || nr == SYS_sched_setattr)
		count_call();
	return __real_syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t at)
{
	count_call();
	return __real_pwrite64(fd, buf, len, at);
}

ssize_t __wrap_process_vm_writev(pid_t pid, const struct iovec *l, unsigned long nl,
				 const struct iovec *r, unsigned long nr,
				 unsigned long flags)
{
	count_call();
	return __real_process_vm_writev(pid, l, nl, r, nr, flags);
}

static struct err *work(struct process *p, struct helper *h)
{
	static const uint8_t plus_one[] = {0x48, 0x8d, 0x47, 0x01, 0xc3};
	taddr_t at;
	uint64_t got;

	TRY(helper_mmap(h, 0, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0, &at));
	TRY(mem_poke(p->pid, at, plus_one, sizeof(plus_one)));
	process_boost(p);
	TRY(process_freeze(p, monotonic_ns() + 2000 * MS, NULL));
	TRY(helper_call(h, at, 41, 1000 * MS, &got));
	vec_for_each(t, &p->threads)
		t->regs_dirty = t->mask_dirty = true;
	TRY(process_thaw(p, NULL));
	process_unboost(p);
	TRY(helper_munmap(h, at, PAGE));
	return got == 42 ? NULL : err_new(ERR_INTERNAL, "%lu", got);
}

static struct err *tool(pid_t pid)
{
	struct process *p;
	struct helper *h;

	TRY(process_open(pid, &p));
	TRY(helper_start(p, 0, &h));
	TRY(work(p, h));
	helper_stop(h);
	process_close(p);
	return NULL;
}

// Nobody traces it, no thread of the tool is left and none is raised.
static void check_free(pid_t pid, long n)
{
	for (int i = 0; i < 2000; i++) {
		struct os_status s;
		size_t len, tools = 0, count;
		pid_t *tids;
		char *comm;

		ck_assert_msg(!os_proc_status(pid, 0, &s) && s.state != 'Z',
			      "killed at call %ld", n);
		ck_assert_int_eq(os_proc_tasks(pid, &tids, &count), 0);
		for (size_t k = 0; k < count; k++) {
			if (os_proc_read(pid, tids[k], "comm", &comm, &len) < 0)
				continue;
			tools += !strncmp(comm, "molt-helper", 11) ||
				 sched_getscheduler(tids[k]) & SCHED_FIFO;
			free(comm);
		}
		free(tids);
		if (!s.tracer && !tools)
			return;
		nanosleep(&(struct timespec){0, 1000000}, NULL);
	}
	ck_abort_msg("killed at call %ld: something is left", n);
}

static void kill_at_each_call(struct victim v)
{
	int status = -1;
	long n = 0;

	while (n < CALLS_MAX && status) {
		pid_t pid = fork();

		n++;
		if (!pid) {
			calls_left = n;
			struct err *e = tool(v.pid);
			if (e)
				fprintf(stderr, "tool: %s\n", e->message);
			_exit(e ? 1 : 0);
		}
		waitpid(pid, &status, 0);
		ck_assert_msg(!status || WIFSIGNALED(status), "call %ld: the tool failed",
			      n);
		check_free(v.pid, n);
	}
	ck_assert_int_eq(status, 0);
	ck_assert_int_gt(n, 50);
	int verdict = victim_end(&v);
	printf("kill: %ld calls%s\n", n, verdict == 3 ? ", an EINTR seen" : "");
	ck_assert_msg(verdict == 0 || verdict == 3, "victim: %d", verdict);
}

START_TEST(many_threads)
{
	kill_at_each_call(victim_start("churn"));
}
END_TEST

START_TEST(first_thread_in_every_call)
{
	kill_at_each_call(victim_start_arg("blocked", "round"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("kill");
	TCase *t = tcase_create("kill");

	tcase_set_timeout(t, 55);
	tcase_add_test(t, many_threads);
	tcase_add_test(t, first_thread_in_every_call);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failures = srunner_ntests_failed(r);
	srunner_free(r);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
