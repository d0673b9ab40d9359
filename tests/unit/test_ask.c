// SPDX-License-Identifier: LGPL-2.1-or-later
// System calls in the threads of a process that stands still: they do what they should, leave nothing behind, and the
// threads go back by themselves when the tool is killed at any moment.
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <sys/wait.h>

#include "counted.h"
#include "process/ask.h"
#include "process/maps.h"
#include "process/memory.h"
#include "victim.h"

enum { ROOM = 65536, CALLS_MAX = 4000, KILLS = 40, WAY_FDS = 6 };
static const uint64_t MS = 1000000;

#define ck_ok(expr)                                              \
	do {                                                     \
		struct err *e_ = (expr);                         \
		ck_assert_msg(!e_, "%s", e_ ? e_->message : ""); \
	} while (0)

struct tool {
	struct process *p;
	struct helper *h;
	struct remote *r;
};

static struct err *open_tool(pid_t pid, struct tool *t)
{
	TRY(process_open(pid, &t->p));
	TRY(helper_start(t->p, 0, &t->h));
	return ask_create(t->p, t->h, ROOM, &t->r);
}

static struct err *close_tool(struct tool *t)
{
	TRY(ask_free(t->r));
	helper_stop(t->h);
	process_close(t->p);
	return NULL;
}

static struct err *freeze(struct tool *t)
{
	return process_freeze(t->p, monotonic_ns() + 2000 * MS, NULL);
}

// What every thread says when it is asked: its id and its alternative stack.
static struct err *ask_all_threads(struct tool *t)
{
	size_t n = t->p->threads.n, mark = t->r->used;
	struct syscall_req(*reqs)[2] = calloc(n, sizeof(*reqs));
	struct ask_job *jobs = calloc(n, sizeof(*jobs));
	struct err *e = NULL;

	for (size_t i = 0; i < n; i++) {
		stack_t *s = remote_take(t->r, sizeof(*s));
		reqs[i][0].nr = SYS_gettid;
		reqs[i][1] = (struct syscall_req){.nr = SYS_sigaltstack,
						  .args = {0, remote_at(t->r, s)}};
		jobs[i] = (struct ask_job){
			.tid = t->p->threads.v[i].tid, .reqs = reqs[i], .n = 2};
	}
	e = ask_many(t->r, jobs, n);
	for (size_t i = 0; i < n && !e; i++)
		if (!jobs[i].gone && (jobs[i].done != 2 ||
				      reqs[i][0].ret != jobs[i].tid || reqs[i][1].ret))
			e = err_new(ERR_INTERNAL, "thread %d: %zu calls, %ld, %ld",
				    jobs[i].tid, jobs[i].done, reqs[i][0].ret,
				    reqs[i][1].ret);
	remote_release(t->r, mark);
	free(reqs);
	free(jobs);
	return e;
}

static struct err *pass_descriptors(struct tool *t)
{
	enum { N = 3 };
	int fds[N], there[N];
	int64_t ret;

	for (int i = 0; i < N; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct err *e = ask_open_channel(t->r);
	if (!e)
		e = remote_give(t->r, fds, N, there);
	for (int i = 0; i < N; i++) {
		close(fds[i]);
		if (!e)
			e = remote_call(t->r, SYS_close,
					(uint64_t[6]){(uint64_t)there[i]}, &ret);
		if (!e && ret)
			e = err_sys((int)ret, "close of %d", there[i]);
	}
	return err_first(e, ask_close_channel(t->r));
}

static struct err *work(pid_t pid)
{
	struct tool t;
	int64_t ret;

	TRY(open_tool(pid, &t));
	TRY(freeze(&t));
	TRY(ask_all_threads(&t));
	TRY(remote_call(t.r, SYS_getpid, (uint64_t[6]){0}, &ret));
	if (ret != pid)
		return err_new(ERR_INTERNAL, "getpid: %ld", ret);
	TRY(process_thaw(t.p, NULL));
	TRY(freeze(&t));
	TRY(ask_open_channel(t.r));
	TRY(ask_all_threads(&t));
	TRY(ask_close_channel(t.r));
	TRY(process_thaw(t.p, NULL));
	return close_tool(&t);
}

static size_t count_fds(pid_t pid)
{
	char cmd[64], line[16] = "";

	snprintf(cmd, sizeof(cmd), "ls /proc/%d/fd | wc -l", pid);
	FILE *f = popen(cmd, "r");
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), f));
	pclose(f);
	return strtoul(line, NULL, 10);
}

static void check_unmapped(pid_t pid)
{
	struct maps m;

	ck_ok(maps_read(pid, &m));
	vec_for_each(it, &m.v)
		ck_assert_msg(!strstr(it->path, "molt"), "left: %s", it->path);
	maps_deinit(&m);
}

static void kill_at_each_call(struct victim v)
{
	size_t before = count_fds(v.pid);
	int status = -1;
	long n = 0;

	while (n < CALLS_MAX && status) {
		pid_t pid = fork();

		n++;
		if (!pid) {
			calls_left = n;
			struct err *e = work(v.pid);
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
	ck_assert_uint_le(count_fds(v.pid), before + WAY_FDS);
	check_unmapped(v.pid);
	int verdict = victim_end(&v);
	printf("ask: killed at %ld calls%s\n", n, verdict == 3 ? ", an EINTR seen" : "");
	ck_assert_msg(verdict == 0 || verdict == 3, "victim: %d", verdict);
}

START_TEST(killed_many_threads)
{
	kill_at_each_call(victim_start("churn"));
}
END_TEST

START_TEST(killed_in_every_call)
{
	kill_at_each_call(victim_start_arg("blocked", "round"));
}
END_TEST

START_TEST(killed_at_random)
{
	struct victim v = victim_start_arg("blocked", "round");

	for (unsigned i = 0; i < KILLS; i++) {
		pid_t pid = fork();

		if (!pid) {
			struct err *e;
			do
				e = work(v.pid);
			while (!e);
			fprintf(stderr, "tool: %s\n", e->message);
			_exit(1);
		}
		nanosleep(&(struct timespec){0, (long)((3 + i * 7919 % 60) * 500000)},
			  NULL);
		kill(pid, SIGKILL);
		int status;
		waitpid(pid, &status, 0);
		ck_assert_msg(WIFSIGNALED(status), "the tool failed");
		check_free(v.pid, (long)i);
	}
	int verdict = victim_end(&v);
	ck_assert_msg(verdict == 0 || verdict == 3, "victim: %d", verdict);
}
END_TEST

START_TEST(calls)
{
	struct victim v = victim_start("churn");
	size_t before = count_fds(v.pid), done;
	struct tool t;

	ck_ok(open_tool(v.pid, &t));
	for (int i = 0; i < 5; i++) {
		ck_ok(freeze(&t));
		ck_ok(ask_all_threads(&t));
		ck_ok(pass_descriptors(&t));
		// One that fails ends the list, unless it may not.
		struct syscall_req reqs[] = {{SYS_getpid, {0}, 0},
					     {SYS_close, {9999}, 0},
					     {SYS_getppid, {0}, 0}};
		ck_ok(t.r->calls(t.r, v.pid, reqs, 3, false, &done));
		ck_assert_uint_eq(done, 2);
		ck_assert_int_eq(reqs[1].ret, -EBADF);
		ck_ok(t.r->calls(t.r, v.pid, reqs, 3, true, &done));
		ck_assert_uint_eq(done, 3);
		ck_assert_int_eq(reqs[2].ret, getpid());
		ck_ok(process_thaw(t.p, NULL));
	}
	ck_ok(close_tool(&t));
	ck_assert_uint_eq(count_fds(v.pid), before);
	check_unmapped(v.pid);
	ck_assert_int_eq(victim_end(&v), 0);
}
END_TEST

// Threads that wait in calls of every kind go on in them.
START_TEST(blocked_calls)
{
	struct victim v = victim_start("blocked");
	struct tool t;

	ck_ok(open_tool(v.pid, &t));
	for (int i = 0; i < 10; i++) {
		ck_ok(freeze(&t));
		ck_ok(ask_all_threads(&t));
		ck_ok(process_thaw(t.p, NULL));
	}
	ck_ok(close_tool(&t));
	ck_assert_int_eq(victim_end(&v), 0);
}
END_TEST

static _Noreturn void *idle(void *arg)
{
	(void)arg;
	for (;;)
		pause();
}

START_TEST(hundred_threads)
{
	pid_t pid = fork();
	struct tool t;

	if (!pid) {
		pthread_t id;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int i = 0; i < 100; i++)
			pthread_create(&id, NULL, idle, NULL);
		idle(NULL);
	}
	for (size_t n = 0; n < 101;) {
		pid_t *tids = NULL;
		nanosleep(&(struct timespec){0, 1000000}, NULL);
		ck_assert_int_eq(os_proc_tasks(pid, &tids, &n), 0);
		free(tids);
	}
	ck_ok(open_tool(pid, &t));
	ck_ok(freeze(&t));
	uint64_t best = UINT64_MAX;
	for (int i = 0; i < 5; i++) {
		uint64_t a = monotonic_ns();
		ck_ok(ask_all_threads(&t));
		uint64_t b = monotonic_ns() - a;
		best = b < best ? b : best;
	}
	uint64_t a = monotonic_ns();
	int64_t ret;
	for (int i = 0; i < 100; i++)
		ck_ok(remote_call(t.r, SYS_getpid, (uint64_t[6]){0}, &ret));
	printf("ask: 101 threads, 2 calls each: %lu us; one call in one thread: %lu us\n",
	       (unsigned long)(best / 1000),
	       (unsigned long)((monotonic_ns() - a) / 100000));
	ck_ok(process_thaw(t.p, NULL));
	ck_ok(close_tool(&t));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
END_TEST

START_TEST(stopped_target)
{
	struct os_status s;
	struct tool t;
	pid_t pid = fork();

	if (!pid)
		idle(NULL);
	kill(pid, SIGSTOP);
	waitpid(pid, NULL, WUNTRACED);
	ck_ok(open_tool(pid, &t));
	ck_ok(freeze(&t));
	ck_ok(ask_all_threads(&t));
	ck_ok(process_thaw(t.p, NULL));
	ck_ok(close_tool(&t));
	for (int i = 0; i < 1000; i++) {
		ck_assert_int_eq(os_proc_status(pid, pid, &s), 0);
		if (s.state == 'T')
			break;
		nanosleep(&(struct timespec){0, 1000000}, NULL);
	}
	ck_assert_int_eq(s.state, 'T');
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ask");
	TCase *t = tcase_create("ask");

	tcase_set_timeout(t, 55);
	tcase_add_test(t, calls);
	tcase_add_test(t, blocked_calls);
	tcase_add_test(t, hundred_threads);
	tcase_add_test(t, stopped_target);
	tcase_add_test(t, killed_many_threads);
	tcase_add_test(t, killed_in_every_call);
	tcase_add_test(t, killed_at_random);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failures = srunner_ntests_failed(r);
	srunner_free(r);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
