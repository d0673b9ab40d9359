// SPDX-License-Identifier: LGPL-2.1-or-later
// Members of JSON and base64 (image/json.h).
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "image/json.h"

static void expect_corrupt(struct err *e, const char *part)
{
	ck_assert_ptr_nonnull(e);
	ck_assert_int_eq(e->kind, ERR_CORRUPT);
	ck_assert_msg(strstr(e->message, part), "%s", e->message);
	err_free(e);
}

START_TEST(base64_vectors)
{
	// RFC 4648, section 10
	static const char *const v[][2] = {{"", ""},
					   {"f", "Zg=="},
					   {"fo", "Zm8="},
					   {"foo", "Zm9v"},
					   {"foob", "Zm9vYg=="},
					   {"fooba", "Zm9vYmE="},
					   {"foobar", "Zm9vYmFy"}};

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		uint8_t *back;
		size_t len;
		char *text = base64_encode(v[i][0], strlen(v[i][0]));

		ck_assert_str_eq(text, v[i][1]);
		ck_assert(base64_decode(text, strlen(text), 6, &back, &len));
		ck_assert_uint_eq(len, strlen(v[i][0]));
		ck_assert_mem_eq(back, v[i][0], len);
		free(back);
		free(text);
	}
}
END_TEST

START_TEST(base64_all_bytes)
{
	uint8_t in[256], *back;
	size_t len;

	for (int i = 0; i < 256; i++)
		in[i] = (uint8_t)(i * 37);
	for (size_t n = 0; n <= sizeof(in); n++) {
		char *text = base64_encode(in, n);

		ck_assert(base64_decode(text, strlen(text), n, &back, &len));
		ck_assert_uint_eq(len, n);
		ck_assert_mem_eq(back, in, n);
		free(back);
		if (n)
			ck_assert(!base64_decode(text, strlen(text), n - 1, &back, &len));
		free(text);
	}
}
END_TEST

START_TEST(base64_bad)
{
	static const char *const bad[] = {
		"Z",	 "Zg",	 "Zg=",	 "====",     "Zh==",   "Zm9=",
		"Zm9v=", "Z===", "Zm 9", "Zg==Zm9v", "Zm9v\n", "Zm-_"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint8_t *back;
		size_t len;

		ck_assert_msg(!base64_decode(bad[i], strlen(bad[i]), 100, &back, &len),
			      "%s", bad[i]);
		ck_assert_ptr_null(back);
	}
}
END_TEST

START_TEST(numbers)
{
	json_t *o = json_object();
	int64_t v;
	uint64_t u;
	int i;
	pid_t pid;
	bool b;

	ck_assert_ptr_null(json_put_int(o, "nice", 90));
	ck_assert_ptr_null(json_put_int(o, "low", -5));
	ck_assert_ptr_null(json_put(o, "nothing", json_null()));
	ck_assert_ptr_null(json_put(o, "real", json_real(1.5)));
	ck_assert_ptr_null(json_put_bool(o, "yes", true));
	ck_assert_ptr_null(json_get_int(o, "nice", 0, 100, &v));
	ck_assert_int_eq(v, 90);
	expect_corrupt(json_get_i32(o, "nice", -20, 19, &i), "'nice' is 90, not -20..19");
	expect_corrupt(json_get_u64(o, "low", INT64_MAX, &u), "'low' is -5");
	expect_corrupt(json_get_pid(o, "low", &pid), "'low'");
	expect_corrupt(json_get_int(o, "nothing", 0, 1, &v), "'nothing' is missing");
	expect_corrupt(json_get_int(o, "none", 0, 1, &v), "'none' is missing");
	expect_corrupt(json_get_int(o, "real", 0, 9, &v), "'real' is no integer");
	expect_corrupt(json_get_int(NULL, "x", 0, 9, &v), "no object");
	expect_corrupt(json_opt_i32(json_null(), "x", 0, 9, 3, &i), "no object");
	expect_corrupt(json_get_bool(o, "low", &b), "'low'");
	ck_assert_ptr_null(json_opt_i32(o, "nothing", 0, 9, 3, &i));
	ck_assert_int_eq(i, 3);
	expect_corrupt(json_opt_i32(o, "low", 0, 9, 3, &i), "'low' is -5");
	ck_assert_ptr_null(json_get_bool(o, "yes", &b));
	ck_assert(b);
	json_decref(o);
}
END_TEST

START_TEST(masks)
{
	static const char *const bad[] = {
		"", "0x", "12", "-1", "0x-1", "0xg", "0x11111111111111111"};
	json_t *o = json_object();
	uint64_t m;

	ck_assert_ptr_null(json_put_mask(o, "m", UINT64_MAX));
	ck_assert_ptr_null(json_get_mask(o, "m", &m));
	ck_assert(m == UINT64_MAX);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_ptr_null(json_put(o, "m", json_string(bad[i])));
		expect_corrupt(json_get_mask(o, "m", &m), "'m'");
	}
	json_decref(o);
}
END_TEST

START_TEST(texts)
{
	json_t *o = json_object();
	const char *s;
	char *text;
	uint8_t buf[4];

	ck_assert_ptr_null(json_put_text(o, "a", "/tmp/\xc3\xa4"));
	ck_assert_ptr_null(json_put_text(o, "b", "/tmp/\xff"));
	ck_assert_ptr_null(json_get_text(o, "a", 100, &text));
	ck_assert_str_eq(text, "/tmp/\xc3\xa4");
	free(text);
	ck_assert_ptr_null(json_get_text(o, "b", 100, &text));
	ck_assert_str_eq(text, "/tmp/\xff");
	free(text);
	expect_corrupt(json_get_text(o, "a", 3, &text), "'a'");
	expect_corrupt(json_get_text(o, "b", 3, &text), "'b'");
	expect_corrupt(json_get_string(o, "b", &s), "'b' is no string");
	ck_assert_ptr_null(json_put(o, "nul", json_stringn("a\0b", 3)));
	expect_corrupt(json_get_string(o, "nul", &s), "NUL");
	expect_corrupt(json_get_text(o, "nul", 10, &text), "NUL");
	ck_assert_ptr_null(json_put_bytes(o, "bytes", "abc", 3));
	expect_corrupt(json_get_exact(o, "bytes", buf, 4), "has 3 bytes, not 4");
	expect_corrupt(json_get_exact(o, "bytes", buf, 2), "'bytes'");
	ck_assert_ptr_null(json_get_exact(o, "bytes", buf, 3));
	ck_assert_mem_eq(buf, "abc", 3);
	json_decref(o);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("json");
	TCase *c = tcase_create("all");

	tcase_add_test(c, base64_vectors);
	tcase_add_test(c, base64_all_bytes);
	tcase_add_test(c, base64_bad);
	tcase_add_test(c, numbers);
	tcase_add_test(c, masks);
	tcase_add_test(c, texts);
	suite_add_tcase(s, c);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
