// SPDX-License-Identifier: LGPL-2.1-or-later
// Freezing and thawing: every thread stops, nothing is lost, and the refusals before it.
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "os/proc.h"
#include "process/process.h"
#include "victim.h"

static const uint64_t MS = 1000000;

#define ck_ok(expr)                                              \
	do {                                                     \
		struct err *e_ = (expr);                         \
		ck_assert_msg(!e_, "%s", e_ ? e_->message : ""); \
	} while (0)

static void freeze_thaw(struct process *p, uint64_t *stop_ns)
{
	uint64_t first, last;

	ck_ok(process_freeze(p, monotonic_ns() + 2000 * MS, &first));
	ck_ok(process_thaw(p, &last));
	*stop_ns = last - first;
}

START_TEST(freeze_loop)
{
	struct victim v = victim_start("churn");
	struct process *p;
	uint64_t sum = 0, ns;

	ck_ok(process_open(v.pid, &p));
	for (int i = 0; i < 200; i++) {
		freeze_thaw(p, &ns);
		sum += ns;
		nanosleep(&(struct timespec){0, 1000000}, NULL);
	}
	process_close(p);
	ck_assert_int_eq(victim_end(&v), 0);
	printf("freeze of churn: %llu us on average\n",
	       (unsigned long long)(sum / 200 / 1000));
}
END_TEST

START_TEST(all_threads_stand)
{
	struct victim v = victim_start("churn");
	struct process *p;
	size_t n;
	pid_t *tids;

	ck_ok(process_open(v.pid, &p));
	for (int round = 0; round < 20; round++) {
		ck_ok(process_freeze(p, monotonic_ns() + 2000 * MS, NULL));
		ck_assert_int_eq(os_proc_tasks(v.pid, &tids, &n), 0);
		for (size_t i = 0; i < n; i++) {
			struct os_status s;
			struct thread *t = process_thread(p, tids[i]);

			// One that is dying may be listed still.
			if (os_proc_status(v.pid, tids[i], &s) < 0 || s.state == 'X' ||
			    s.state == 'Z')
				continue;
			ck_assert_msg(t && t->state == THREAD_STOPPED, "thread %d",
				      tids[i]);
			ck_assert_int_eq(s.state, 't');
			ck_assert_uint_ne(t->regs.rip, 0);
		}
		free(tids);
		ck_ok(process_thaw(p, NULL));
		struct os_status s;
		ck_assert_int_eq(os_proc_status(v.pid, v.pid, &s), 0);
		ck_assert_int_eq(s.tracer, 0);
	}
	process_close(p);
	ck_assert_int_eq(victim_end(&v), 0);
}
END_TEST

START_TEST(blocked_calls)
{
	struct victim v = victim_start("blocked");
	struct process *p;
	uint64_t ns;

	ck_ok(process_open(v.pid, &p));
	for (int i = 0; i < 3; i++) {
		freeze_thaw(p, &ns);
		nanosleep(&(struct timespec){0, 50 * 1000000}, NULL);
	}
	process_close(p);
	ck_assert_int_eq(victim_end(&v), 0);
}
END_TEST

static void refused(pid_t pid, const char *code, const char *in_message)
{
	struct process *p = NULL;
	struct err *e = process_open(pid, &p);

	ck_assert_msg(e, "%d was not refused as %s", pid, code);
	ck_assert_int_eq(e->kind, ERR_REFUSED);
	ck_assert_str_eq(e->code, code);
	ck_assert_msg(strstr(e->message, in_message), "%s", e->message);
	ck_assert_ptr_nonnull(e->object);
	err_free(e);
}

// In a container with its own pids they are not, and pid 2 may be anything.
static bool kernel_threads_visible(void)
{
	uint64_t flags;

	return os_proc_flags(2, &flags) == 0 && flags & 0x00200000; // PF_KTHREAD
}

START_TEST(refusals)
{
	char buf[32];

	refused(getpid(), "self", "molt itself");
	refused(0, "pid-gone", "no process");
	refused(-5, "pid-gone", "no process");
	if (kernel_threads_visible())
		refused(2, "kernel-thread", "kernel thread");

	pid_t zombie = fork();
	if (!zombie)
		_exit(0);
	siginfo_t si;
	waitid(P_PID, (id_t)zombie, &si, WEXITED | WNOWAIT);
	refused(zombie, "zombie", "has ended");
	waitpid(zombie, NULL, 0);
	refused(zombie, "pid-gone", "no process");

	struct victim v = victim_start("churn");
	pid_t *tids;
	size_t n;
	ck_assert_int_eq(os_proc_tasks(v.pid, &tids, &n), 0);
	snprintf(buf, sizeof(buf), "process %d", v.pid);
	refused(tids[1], "not-a-process", buf);
	free(tids);

	int ready[2];
	ck_assert_int_eq(pipe(ready), 0);
	pid_t tracer = fork();
	if (!tracer) {
		if (ptrace(PTRACE_SEIZE, v.pid, 0, 0) || write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	char c;
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	snprintf(buf, sizeof(buf), "by %d (test_process", tracer);
	refused(v.pid, "already-traced", buf);
	kill(tracer, SIGKILL);
	waitpid(tracer, NULL, 0);
	victim_kill(&v);
}
END_TEST

// A child of ours that runs `body` and says so through a pipe first.
static pid_t child(void (*body)(int), int fd)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid) {
		body(fd);
		_exit(0);
	}
	return pid;
}

static void sleep_for_ever(int fd)
{
	(void)fd;
	for (;;)
		pause();
}

static char state_of(pid_t pid)
{
	struct os_status s;

	return os_proc_status(pid, 0, &s) < 0 ? 0 : s.state;
}

START_TEST(job_control_stop_stays)
{
	pid_t pid = child(sleep_for_ever, -1);
	struct process *p;
	uint64_t ns;

	kill(pid, SIGSTOP);
	waitpid(pid, NULL, WUNTRACED);
	ck_ok(process_open(pid, &p));
	for (int i = 0; i < 3; i++) {
		freeze_thaw(p, &ns);
		for (int wait = 0; wait < 1000 && state_of(pid) != 'T'; wait++)
			nanosleep(&(struct timespec){0, 1000000}, NULL);
		ck_assert_int_eq(state_of(pid), 'T');
	}
	process_close(p);
	kill(pid, SIGCONT);
	for (int wait = 0; wait < 1000 && state_of(pid) != 'S'; wait++)
		nanosleep(&(struct timespec){0, 1000000}, NULL);
	ck_assert_int_eq(state_of(pid), 'S');
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
END_TEST

enum { SIGNALS = 400 };

static volatile sig_atomic_t seen;

static void count(int sig)
{
	(void)sig;
	seen = seen + 1;
}

static void count_signals(int fd)
{
	sigset_t rt, old;

	sigemptyset(&rt);
	sigaddset(&rt, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &rt, &old);
	signal(SIGRTMIN, count);
	if (write(fd, "r", 1) != 1)
		_exit(2);
	while (seen < SIGNALS)
		sigsuspend(&old);
	if (write(fd, "d", 1) != 1)
		_exit(2);
	sleep_for_ever(fd);
}

START_TEST(no_signal_is_lost)
{
	struct process *p;
	int fd[2];
	char c;
	uint64_t ns;

	ck_assert_int_eq(pipe(fd), 0);
	pid_t pid = child(count_signals, fd[1]);
	ck_assert_int_eq(read(fd[0], &c, 1), 1);
	ck_ok(process_open(pid, &p));
	for (int i = 0; i < SIGNALS; i++) {
		ck_assert_int_eq(sigqueue(pid, SIGRTMIN, (union sigval){0}), 0);
		if (i % 2)
			freeze_thaw(p, &ns);
	}
	process_close(p);
	alarm(10);
	ck_assert_int_eq(read(fd[0], &c, 1), 1);
	alarm(0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
END_TEST

static void vfork_parent(int fd)
{
	if (!vfork()) {
		nanosleep(&(struct timespec){0, 300 * 1000000}, NULL);
		_exit(0);
	}
	if (write(fd, "d", 1) != 1)
		_exit(2);
	sleep_for_ever(fd);
}

START_TEST(vfork_parent_is_busy)
{
	struct process *p;
	int fd[2];
	uint64_t ns;

	ck_assert_int_eq(pipe(fd), 0);
	pid_t pid = child(vfork_parent, fd[1]);
	while (state_of(pid) != 'D')
		nanosleep(&(struct timespec){0, 1000000}, NULL);
	ck_ok(process_open(pid, &p));
	struct err *e = process_freeze(p, monotonic_ns() + 20 * MS, NULL);
	ck_assert_ptr_nonnull(e);
	ck_assert_int_eq(e->kind, ERR_BUSY);
	ck_assert_str_eq(e->code, "thread-does-not-stop");
	err_free(e);
	freeze_thaw(p, &ns);
	process_close(p);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
END_TEST

START_TEST(death_while_frozen)
{
	struct victim v = victim_start("churn");
	struct process *p;

	ck_ok(process_open(v.pid, &p));
	ck_ok(process_freeze(p, monotonic_ns() + 2000 * MS, NULL));
	kill(v.pid, SIGKILL);
	err_free(process_thaw(p, NULL));
	struct err *e = process_freeze(p, monotonic_ns() + 2000 * MS, NULL);
	ck_assert_ptr_nonnull(e);
	ck_assert_int_eq(e->kind, ERR_LOST);
	err_free(e);
	ck_assert(!process_alive(p));
	process_close(p);
	ck_assert_int_eq(victim_end(&v), -SIGKILL);
}
END_TEST

START_TEST(boost_is_taken_back)
{
	struct victim v = victim_start("churn");
	struct process *p;
	int before = sched_getscheduler(0);

	ck_ok(process_open(v.pid, &p));
	process_boost(p);
	process_boost(p);
	process_unboost(p);
	process_unboost(p);
	ck_assert_int_eq(sched_getscheduler(0), before);
	process_close(p);
	victim_kill(&v);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("process");
	TCase *t = tcase_create("freeze");

	tcase_set_timeout(t, 40);
	tcase_add_test(t, freeze_loop);
	tcase_add_test(t, all_threads_stand);
	tcase_add_test(t, blocked_calls);
	tcase_add_test(t, refusals);
	tcase_add_test(t, job_control_stop_stays);
	tcase_add_test(t, no_signal_is_lost);
	tcase_add_test(t, vfork_parent_is_busy);
	tcase_add_test(t, death_while_frozen);
	tcase_add_test(t, boost_is_taken_back);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failures = srunner_ntests_failed(r);
	srunner_free(r);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
