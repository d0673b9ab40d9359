// SPDX-License-Identifier: LGPL-2.1-or-later
// The helper thread: it does its work, leaves nothing behind, and the target lives on when the tool is
// killed at any moment.
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "os/proc.h"
#include "process/helper.h"
#include "process/maps.h"
#include "process/memory.h"
#include "victim.h"

static const uint64_t MS = 1000000;
enum { PAGE = 4096, KILLS = 30 };

#define ck_ok(expr)                                              \
	do {                                                     \
		struct err *e_ = (expr);                         \
		ck_assert_msg(!e_, "%s", e_ ? e_->message : ""); \
	} while (0)

static taddr_t text_of(pid_t pid, const char *name)
{
	struct maps m;
	taddr_t at = 0;

	ck_ok(maps_read(pid, &m));
	vec_for_each(it, &m.v) {
		if (!at && (it->prot & PROT_EXEC) && strstr(it->path, name))
			at = it->start;
	}
	maps_deinit(&m);
	ck_assert_uint_ne(at, 0);
	return at;
}

// Names of the open files of the process, one a line.
static char *files_of(pid_t pid)
{
	char path[64], cmd[128], *text = calloc(1, 65536);

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	snprintf(cmd, sizeof(cmd), "ls -l %s | awk '{print $9,$10,$11}'", path);
	FILE *f = popen(cmd, "r");
	ck_assert_uint_gt(fread(text, 1, 65535, f), 0);
	pclose(f);
	return text;
}

// The mappings without their anonymous ones: those come and go with the victim's threads.
static char *mapped_files(pid_t pid)
{
	char *text = calloc(1, 1 << 16);
	struct maps m;
	size_t n = 0;

	ck_ok(maps_read(pid, &m));
	vec_for_each(it, &m.v) {
		if (*it->path)
			n += (size_t)snprintf(text + n, (1 << 16) - n, "%lx-%lx %d %s\n",
					      it->start, it->end, it->prot, it->path);
	}
	maps_deinit(&m);
	return text;
}

static size_t threads_named(pid_t pid, const char *name)
{
	size_t n, found = 0, len;
	pid_t *tids;
	char *comm;

	ck_assert_int_eq(os_proc_tasks(pid, &tids, &n), 0);
	for (size_t i = 0; i < n; i++) {
		if (os_proc_read(pid, tids[i], "comm", &comm, &len) < 0)
			continue;
		found += strstr(comm, name) != NULL;
		free(comm);
	}
	free(tids);
	return found;
}

START_TEST(leaves_nothing)
{
	struct victim v = victim_start("churn");
	char *files = files_of(v.pid), *maps = mapped_files(v.pid);
	struct process *p;
	struct helper *h;

	ck_ok(process_open(v.pid, &p));
	for (int i = 0; i < 10; i++) {
		uint64_t a = monotonic_ns();
		ck_ok(helper_start(p, text_of(v.pid, "victim_churn"), &h));
		uint64_t b = monotonic_ns();
		ck_assert_uint_eq(threads_named(v.pid, "molt-helper"), 1);
		ck_assert_int_gt(helper_tid(h), 0);
		helper_stop(h);
		if (!i)
			printf("helper: start %llu us, stop %llu us\n",
			       (unsigned long long)(b - a) / 1000,
			       (unsigned long long)(monotonic_ns() - b) / 1000);
		ck_assert_uint_eq(threads_named(v.pid, "molt-helper"), 0);
	}
	char *files_after = files_of(v.pid), *maps_after = mapped_files(v.pid);
	ck_assert_str_eq(files, files_after);
	ck_assert_str_eq(maps, maps_after);
	process_close(p);
	ck_assert_int_eq(victim_end(&v), 0);
	free(files);
	free(files_after);
	free(maps);
	free(maps_after);
}
END_TEST

START_TEST(system_calls)
{
	struct victim v = victim_start("churn");
	char *files = files_of(v.pid);
	taddr_t near, at, code, text = text_of(v.pid, "victim_churn");
	struct process *p;
	struct helper *h;
	int rfd, fd;
	char buf[8];
	int64_t r;

	ck_ok(process_open(v.pid, &p));
	ck_ok(helper_start(p, text, &h));
	near = text_of(v.pid, "molt-helper");
	ck_assert_uint_lt(near > text ? near - text : text - near, 1ULL << 31);

	ck_ok(helper_syscall(h, SYS_getpid, (uint64_t[6]){0}, &r));
	ck_assert_int_eq(r, v.pid);
	ck_ok(helper_syscall(h, SYS_gettid, (uint64_t[6]){0}, &r));
	ck_assert_int_eq(r, helper_tid(h));
	ck_ok(helper_syscall(h, 1000000, (uint64_t[6]){0}, &r));
	ck_assert_int_eq(r, -ENOSYS);
	// Its descriptors are its own: none of the target's is among them.
	ck_ok(helper_syscall(h, SYS_fcntl, (uint64_t[6]){0, F_GETFD}, &r));
	ck_assert_int_eq(r, -EBADF);

	ck_ok(helper_memfd(h, "test", &rfd, &fd));
	ck_assert_int_eq(ftruncate(fd, 2 * PAGE), 0);
	ck_assert_int_eq(pwrite(fd, "molt", 4, PAGE), 4);
	ck_ok(helper_mmap(h, 0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, rfd, 0, &at));
	ck_ok(mem_read(v.pid, at + PAGE, buf, 4));
	ck_assert_mem_eq(buf, "molt", 4);
	ck_ok(helper_mprotect(h, at, PAGE, PROT_READ));
	struct err *e = mem_write(v.pid, at, "x", 1);
	ck_assert_ptr_nonnull(e);
	err_free(e);
	ck_ok(helper_munmap(h, at, 2 * PAGE));
	e = mem_read(v.pid, at, buf, 1);
	ck_assert_ptr_nonnull(e);
	err_free(e);
	e = helper_munmap(h, 1, 1);
	ck_assert_ptr_nonnull(e);
	ck_assert_int_eq(e->errnum, EINVAL);
	err_free(e);

	struct syscall_req reqs[] = {
		{SYS_getpid, {0}, 0}, {SYS_close, {99}, 0}, {SYS_getpid, {0}, 0}};
	size_t done;
	ck_ok(helper_syscalls(h, reqs, 3, &done));
	ck_assert_uint_eq(done, 1);
	ck_assert_int_eq(reqs[1].ret, -EBADF);

	// lea 1(%rdi), %rax; ret -- then a function that makes a system call, and one that loops.
	static const uint8_t plus_one[] = {0x48, 0x8d, 0x47, 0x01, 0xc3};
	static const uint8_t gettid[] = {0xb8, 0xba, 0, 0, 0, 0x0f, 0x05, 0xc3};
	static const uint8_t forever[] = {0xeb, 0xfe};
	static const uint8_t crash[] = {0x31, 0xc0, 0x8b, 0x00};
	uint64_t got;
	ck_ok(helper_mmap(h, 0, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0, &code));
	ck_ok(mem_poke(v.pid, code, plus_one, sizeof(plus_one)));
	ck_ok(mem_poke(v.pid, code + 16, gettid, sizeof(gettid)));
	ck_ok(mem_poke(v.pid, code + 32, forever, sizeof(forever)));
	ck_ok(mem_poke(v.pid, code + 48, crash, sizeof(crash)));
	for (uint64_t i = 0; i < 10; i++) {
		ck_ok(helper_call(h, code, i << 40, 1000 * MS, &got));
		ck_assert_uint_eq(got, (i << 40) + 1);
	}
	ck_ok(helper_syscall(h, SYS_getpid, (uint64_t[6]){0}, &r));
	ck_assert_int_eq(r, v.pid);
	ck_ok(helper_call(h, code + 16, 0, 1000 * MS, &got));
	ck_assert_int_eq((pid_t)got, helper_tid(h));
	uint64_t a = monotonic_ns();
	for (int i = 0; i < 200; i++)
		ck_ok(helper_syscall(h, SYS_getpid, (uint64_t[6]){0}, &r));
	uint64_t b = monotonic_ns();
	for (int i = 0; i < 200; i++)
		ck_ok(helper_call(h, code, 1, 1000 * MS, &got));
	printf("helper: system call %llu us, function %llu us\n",
	       (unsigned long long)(b - a) / 200000,
	       (unsigned long long)(monotonic_ns() - b) / 200000);

	e = helper_call(h, code + 32, 0, 20 * MS, &got);
	ck_assert_ptr_nonnull(e);
	ck_assert_int_eq(e->kind, ERR_BUSY);
	err_free(e);
	e = helper_call(h, code, 0, 20 * MS, &got);
	ck_assert_ptr_nonnull(e);
	err_free(e);
	close(fd);
	helper_stop(h);
	ck_assert_uint_eq(threads_named(v.pid, "molt-helper"), 0);

	ck_ok(helper_start(p, text, &h));
	e = helper_call(h, code + 48, 0, 1000 * MS, &got);
	ck_assert_ptr_nonnull(e);
	ck_assert_str_eq(e->code, "call-crashed");
	err_free(e);
	helper_stop(h);
	char *files_after = files_of(v.pid);
	ck_assert_str_eq(files, files_after);
	free(files);
	free(files_after);
	process_close(p);
	ck_assert_int_eq(victim_end(&v), 0);
}
END_TEST

START_TEST(with_freezes)
{
	struct victim v = victim_start("churn");
	struct process *p;
	struct helper *h;
	int64_t r;

	ck_ok(process_open(v.pid, &p));
	for (int round = 0; round < 5; round++) {
		ck_ok(helper_start(p, 0, &h));
		for (int i = 0; i < 10; i++) {
			ck_ok(process_freeze(p, monotonic_ns() + 2000 * MS, NULL));
			ck_assert_ptr_null(process_thread(p, helper_tid(h)));
			ck_ok(helper_syscall(h, SYS_getpid, (uint64_t[6]){0}, &r));
			ck_assert_int_eq(r, v.pid);
			ck_ok(process_thaw(p, NULL));
		}
		helper_stop(h);
	}
	process_close(p);
	ck_assert_int_eq(victim_end(&v), 0);
}
END_TEST

// Each thread but the first blocks in a call of its own; the first sleeps: it is the one that is injected.
START_TEST(blocked_calls)
{
	struct victim v = victim_start("blocked");
	struct process *p;
	struct helper *h;

	ck_ok(process_open(v.pid, &p));
	for (int i = 0; i < 3; i++) {
		ck_ok(helper_start(p, 0, &h));
		helper_stop(h);
	}
	process_close(p);
	ck_assert_int_eq(victim_end(&v), 0);
}
END_TEST

START_TEST(stopped_target)
{
	struct process *p;
	struct helper *h;
	struct os_status s;
	int64_t r;
	pid_t pid = fork();

	if (!pid) {
		for (;;)
			pause();
	}
	kill(pid, SIGSTOP);
	waitpid(pid, NULL, WUNTRACED);
	ck_ok(process_open(pid, &p));
	ck_ok(helper_start(p, 0, &h));
	ck_ok(helper_syscall(h, SYS_getpid, (uint64_t[6]){0}, &r));
	ck_assert_int_eq(r, pid);
	helper_stop(h);
	process_close(p);
	for (int i = 0; i < 1000; i++) {
		ck_assert_int_eq(os_proc_status(pid, pid, &s), 0);
		if (s.state == 'T')
			break;
		nanosleep(&(struct timespec){0, 1000000}, NULL);
	}
	ck_assert_int_eq(s.state, 'T');
	kill(pid, SIGCONT);
	for (int i = 0; i < 1000; i++) {
		ck_assert_int_eq(os_proc_status(pid, pid, &s), 0);
		if (s.state == 'S')
			break;
		nanosleep(&(struct timespec){0, 1000000}, NULL);
	}
	ck_assert_int_eq(s.state, 'S');
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
END_TEST

START_TEST(target_killed)
{
	struct victim v = victim_start("churn");
	struct process *p;
	struct helper *h;
	int64_t r;

	ck_ok(process_open(v.pid, &p));
	ck_ok(helper_start(p, 0, &h));
	kill(v.pid, SIGKILL);
	struct err *e;
	do
		e = helper_syscall(h, SYS_getpid, (uint64_t[6]){0}, &r);
	while (!e);
	ck_assert_int_eq(e->kind, ERR_LOST);
	err_free(e);
	helper_stop(h);
	process_close(p);
	ck_assert_int_eq(victim_end(&v), -SIGKILL);
}
END_TEST

static _Noreturn void tool(pid_t pid)
{
	struct process *p;
	struct helper *h;
	int64_t r;

	for (;;) {
		struct err *e = process_open(pid, &p);

		if (!e)
			e = helper_start(p, 0, &h);
		for (int i = 0; !e && i < 20; i++)
			e = helper_syscall(h, SYS_getpid, (uint64_t[6]){0}, &r);
		if (!e)
			e = process_freeze(p, monotonic_ns() + 2000 * MS, NULL);
		if (!e)
			e = process_thaw(p, NULL);
		if (e) {
			fprintf(stderr, "tool: %s\n", e->message);
			_exit(1);
		}
		helper_stop(h);
		process_close(p);
	}
}

static size_t areas_left(pid_t pid)
{
	struct maps m;
	size_t n = 0;

	ck_ok(maps_read(pid, &m));
	vec_for_each(it, &m.v)
		n += strstr(it->path, "molt-helper") && it->prot & PROT_EXEC;
	maps_deinit(&m);
	return n;
}

static void wait_until_untraced(pid_t pid)
{
	struct os_status s;

	for (int i = 0; i < 2000; i++) {
		ck_assert_int_eq(os_proc_status(pid, 0, &s), 0);
		if (!s.tracer && !threads_named(pid, "molt-helper"))
			return;
		nanosleep(&(struct timespec){0, 1000000}, NULL);
	}
	ck_abort_msg("still traced or a helper is left");
}

START_TEST(tool_killed)
{
	struct victim v = victim_start("churn");
	struct process *p;
	struct helper *h;

	srandom((unsigned)getpid());
	for (int i = 0; i < KILLS; i++) {
		pid_t pid = fork();

		if (!pid)
			tool(v.pid);
		nanosleep(&(struct timespec){0, 1000000 + random() % 15000000}, NULL);
		int status;
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		ck_assert_msg(WIFSIGNALED(status), "the tool ended by itself");
		wait_until_untraced(v.pid);
	}
	// The next tool clears what the dead ones left.
	size_t left = areas_left(v.pid);
	ck_ok(process_open(v.pid, &p));
	ck_ok(helper_start(p, 0, &h));
	ck_assert_uint_eq(areas_left(v.pid), 1);
	helper_stop(h);
	ck_assert_uint_eq(areas_left(v.pid), 0);
	process_close(p);
	int verdict = victim_end(&v);
	ck_assert_msg(verdict == 0 || verdict == 3, "victim: %d", verdict);
	printf("helper: %d tools killed, %zu areas cleared at the end%s\n", KILLS, left,
	       verdict ? ", an EINTR seen" : "");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("helper");
	TCase *t = tcase_create("helper");

	tcase_set_timeout(t, 40);
	tcase_add_test(t, leaves_nothing);
	tcase_add_test(t, system_calls);
	tcase_add_test(t, with_freezes);
	tcase_add_test(t, blocked_calls);
	tcase_add_test(t, stopped_target);
	tcase_add_test(t, target_killed);
	tcase_add_test(t, tool_killed);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failures = srunner_ntests_failed(r);
	srunner_free(r);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
