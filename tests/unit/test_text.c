// SPDX-License-Identifier: GPL-2.0-or-later
// Text from outside is harmless on a terminal.
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/text.h"

static const struct {
	const char *text, *want;
} escaped[] = {
	{"a\nb\tc\r", "a\\nb\\tc\\r"},
	{"\x1b[31mred", "\\x1b[31mred"},
	{"del\x7f", "del\\x7f"},
	{"\xc2\x9b[2J", "\\xc2\\x9b[2J"},	      // CSI as one character
	{"\xff\xfe", "\\xff\\xfe"},		      // no UTF-8
	{"cut \xe2\x82", "cut \\xe2\\x82"},	      // in the middle of a character
	{"\xc0\xaf", "\\xc0\\xaf"},		      // an overlong '/'
	{"\xc1\x8a", "\\xc1\\x8a"},		      // an overlong 'J'
	{"\xed\xa0\x80", "\\xed\\xa0\\x80"},	      // half of a surrogate pair
	{"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, // behind the last character
	{"x\xe2\x80\xaey", "x\\xe2\\x80\\xaey"},      // right to left
};

START_TEST(bad_text_is_escaped)
{
	ck_assert_str_eq(shown(escaped[_i].text), escaped[_i].want);
}
END_TEST

START_TEST(good_text_stays)
{
	static const char *const texts[] = {
		"", "/usr/sbin/nginx", "a\\b",
		"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		ck_assert_ptr_eq(shown(texts[i]), texts[i]);
	ck_assert_ptr_null(shown(NULL));
}
END_TEST

START_TEST(long_text_is_cut_off)
{
	char text[3 * SHOWN_MAX];

	memset(text, 0x1b, sizeof(text));
	text[sizeof(text) - 1] = 0;
	const char *s = shown(text);
	ck_assert_uint_lt(strlen(s), SHOWN_MAX);
	ck_assert_str_eq(s + strlen(s) - 7, "\\x1b...");
	memset(text, 'a', sizeof(text) - 1);
	ck_assert_ptr_eq(shown(text), text);
	memcpy(text + sizeof(text) - 3, "\n", 1);
	s = shown(text);
	ck_assert_str_eq(s + strlen(s) - 4, "a...");
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("text");
	Suite *s = suite_create("text");
	SRunner *r = srunner_create(s);

	tcase_add_loop_test(t, bad_text_is_escaped, 0,
			    (int)(sizeof(escaped) / sizeof(*escaped)));
	tcase_add_test(t, good_text_stays);
	tcase_add_test(t, long_text_is_cut_off);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
