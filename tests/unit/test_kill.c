// SPDX-License-Identifier: LGPL-2.1-or-later
// The tool is killed before its first call that touches the target, before its second, and so on to its last
// one. The target never notices.
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "counted.h"
#include "process/helper.h"
#include "process/memory.h"
#include "victim.h"

enum { PAGE = 4096, CALLS_MAX = 2000 };
static const uint64_t MS = 1000000;

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
