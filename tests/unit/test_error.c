// SPDX-License-Identifier: LGPL-2.1-or-later
// Errors keep kind, code and object while they are wrapped on the way up.
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "util/error.h"

START_TEST(wrap_keeps_code)
{
	struct err *e =
		err_refuse("tls-changed", "counter", "TLS symbol %s moved", "counter");

	e = err_wrap(e, "pid %d", 7);
	ck_assert_int_eq(e->kind, ERR_REFUSED);
	ck_assert_str_eq(e->code, "tls-changed");
	ck_assert_str_eq(e->object, "counter");
	ck_assert_str_eq(e->message, "pid 7: TLS symbol counter moved");
	err_free(e);
}
END_TEST

START_TEST(sys_chooses_kind)
{
	struct err *e = err_sys(-EPERM, "cannot attach to %d", 1);

	ck_assert_int_eq(e->kind, ERR_PERM);
	ck_assert_int_eq(e->errnum, EPERM);
	ck_assert_str_eq(e->message, "cannot attach to 1: Operation not permitted");
	err_free(e);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("error");
	TCase *t = tcase_create("error");

	tcase_add_test(t, wrap_keeps_code);
	tcase_add_test(t, sys_chooses_kind);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
