// SPDX-License-Identifier: LGPL-2.1-or-later
// The table of codes: every row complete, found by its name, and reached through the
// public interface.
#include <check.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "include/molt.h"
#include "lib/report.h"
#include "util/codes.h"

START_TEST(rows_are_complete)
{
	size_t n = 0;

	for (; code_at(n); n++) {
		const struct code_text *c = code_at(n);

		ck_assert_ptr_eq(code_find(c->code), c); // unique: the first of its name
		ck_assert_msg(strlen(c->code) <= 24, "%s is long", c->code);
		ck_assert_msg(strlen(c->title) > 10 &&
				      c->title[strlen(c->title) - 1] != '.',
			      "title of %s", c->code);
		ck_assert_msg(strlen(c->meaning) > 20 &&
				      c->meaning[strlen(c->meaning) - 1] == '.',
			      "meaning of %s", c->code);
		ck_assert_msg(strlen(c->remedy) > 15 &&
				      c->remedy[strlen(c->remedy) - 1] == '.',
			      "remedy of %s", c->code);
		for (const char *p = c->code; *p; p++)
			ck_assert_msg(islower(*p) || isdigit(*p) || *p == '-', "code %s",
				      c->code);
	}
	ck_assert_uint_gt(n, 40);
}
END_TEST

START_TEST(explain_knows_codes_only)
{
	const char *title, *meaning, *remedy;

	ck_assert(molt_explain("type-shifted", &title, &meaning, &remedy));
	ck_assert_str_eq(title, code_find("type-shifted")->title);
	ck_assert_str_eq(remedy, code_find("type-shifted")->remedy);
	ck_assert(!molt_explain("type-shift", NULL, NULL, NULL));
	ck_assert(!molt_explain(NULL, NULL, NULL, NULL));
}
END_TEST

START_TEST(report_carries_an_error)
{
	struct molt_report *r = report_new(7);

	ck_assert_ptr_nonnull(r);
	ck_assert_ptr_null(report_note(r, "note %d", 1));
	report_fail(r, NULL);
	ck_assert_int_eq(r->verdict, MOLT_DONE);
	report_fail(r, err_refuse("tls-changed", "counter", "symbol %s", "counter"));
	ck_assert_int_eq(r->verdict, MOLT_REFUSED);
	ck_assert_str_eq(r->code, "tls-changed");
	ck_assert_str_eq(r->object, "counter");
	ck_assert_str_eq(r->reason, "symbol counter");
	ck_assert_str_eq(r->notes[0], "note 1");
	molt_report_free(r);
}
END_TEST

START_TEST(every_kind_has_its_verdict)
{
	static const struct {
		enum err_kind kind;
		int verdict;
	} want[] = {
		{ERR_INTERNAL, 1}, {ERR_SYSTEM, 1},	 {ERR_NOMEM, 1},
		{ERR_USAGE, 2},	   {ERR_REFUSED, 3},	 {ERR_BUSY, 4},
		{ERR_PERM, 5},	   {ERR_ROLLED_BACK, 6}, {ERR_LOST, 7},
		{ERR_CORRUPT, 8},  {ERR_UNSUPPORTED, 9},
	};

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		ck_assert_int_eq(report_verdict(want[i].kind), want[i].verdict);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("codes");
	TCase *t = tcase_create("codes");

	tcase_add_test(t, rows_are_complete);
	tcase_add_test(t, explain_knows_codes_only);
	tcase_add_test(t, report_carries_an_error);
	tcase_add_test(t, every_kind_has_its_verdict);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
