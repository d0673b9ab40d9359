// SPDX-License-Identifier: LGPL-2.1-or-later
// Running another program: its answer, its end, and that nothing of it is waited for in vain.
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "os/command.h"

enum { LONG_MS = 20000 };

static char answer[64];

static int shell(const char *command, int timeout_ms)
{
	const char *const argv[] = {"sh", "-c", command, NULL};

	memset(answer, 'x', sizeof(answer));
	return os_run(&(struct os_command){.argv = argv,
					   .timeout_ms = timeout_ms,
					   .out = answer,
					   .size = sizeof(answer)});
}

START_TEST(gives_answer_and_status)
{
	ck_assert_int_eq(shell("echo one; echo two; exit 3", LONG_MS), 3);
	ck_assert_str_eq(answer, "one\ntwo\n");
	ck_assert_int_eq(shell("kill -9 $$", LONG_MS), 128 + 9);
	ck_assert_str_eq(answer, "");
	ck_assert_int_eq(shell("read x; echo $?", LONG_MS), 0);
	ck_assert_str_eq(answer, "1\n");
}
END_TEST

// Far more than the buffer and the pipe take.
START_TEST(long_answers_are_cut_off)
{
	ck_assert_int_eq(shell("yes | head -c 1000000", LONG_MS), 0);
	ck_assert_uint_eq(strlen(answer), sizeof(answer) - 1);
}
END_TEST

START_TEST(ends_in_time)
{
	ck_assert_int_eq(shell("echo begun; sleep 100", 300), -ETIMEDOUT);
	ck_assert_str_eq(answer, "begun\n");
	ck_assert_int_eq(shell("yes", 300), -ETIMEDOUT);
}
END_TEST

// A child of it that lives on has its standard output still.
START_TEST(does_not_wait_for_children)
{
	time_t begin = time(NULL);

	ck_assert_int_eq(shell("sleep 15 & echo done", LONG_MS), 0);
	ck_assert_str_eq(answer, "done\n");
	ck_assert_int_lt(time(NULL) - begin, 10);
}
END_TEST

static bool at_once(void)
{
	return true;
}

START_TEST(stops_when_asked)
{
	const char *const argv[] = {"sleep", "100", NULL}, *const none[] = {"/none", NULL};

	ck_assert_int_eq(os_run(&(struct os_command){
				 .argv = argv, .timeout_ms = LONG_MS, .stop = at_once}),
			 -EINTR);
	ck_assert_int_eq(os_run(&(struct os_command){.argv = none, .timeout_ms = LONG_MS}),
			 -ENOENT);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("command");
	Suite *s = suite_create("command");
	SRunner *r = srunner_create(s);

	tcase_set_timeout(t, 30);
	tcase_add_test(t, gives_answer_and_status);
	tcase_add_test(t, long_answers_are_cut_off);
	tcase_add_test(t, ends_in_time);
	tcase_add_test(t, does_not_wait_for_children);
	tcase_add_test(t, stops_when_asked);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
