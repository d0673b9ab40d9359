// SPDX-License-Identifier: LGPL-2.1-or-later
// Probing leaves nothing behind and tells the truth about what the test can check itself.
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/probe.h"

static int open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

START_TEST(leaves_nothing_behind)
{
	struct probe_result results[PROBE_COUNT];
	int before = open_descriptors();

	ck_assert_int_eq(probe_all(results), 0);
	ck_assert_int_eq(open_descriptors(), before);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG | __WALL), -1);
	ck_assert_int_eq(errno, ECHILD);
}
END_TEST

START_TEST(every_row_says_something)
{
	struct probe_result results[PROBE_COUNT];

	ck_assert_int_eq(probe_all(results), 0);
	for (size_t i = 0; i < PROBE_COUNT; i++) {
		ck_assert_ptr_nonnull(probe_at((enum probe_id)i)->name);
		ck_assert_ptr_nonnull(probe_at((enum probe_id)i)->what);
		ck_assert(results[i].ok == (results[i].error == 0));
	}
	int fd = memfd_create("test", MFD_CLOEXEC);
	ck_assert(results[PROBE_MEMFD].ok == (fd >= 0));
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("probe");
	TCase *t = tcase_create("probe");

	tcase_add_test(t, leaves_nothing_behind);
	tcase_add_test(t, every_row_says_something);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
