// SPDX-License-Identifier: LGPL-2.1-or-later
// The generation record: packed and read back; every damage is an error and none a crash.
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "update/record.h"

static struct record sample(void)
{
	struct record r = {.generation = 2, .text_hash = 0x1234, .name = strdup("libx.so")};
	static const char *const paths[] = {"/bin/a", "/bin/b", "/bin/c"};

	for (uint32_t i = 0; i < 3; i++) {
		struct record_image im = {.generation = i,
					  .base = 0x10000 * (i + 1),
					  .span = 0x1000,
					  .path = strdup(paths[i]),
					  .build_id = strdup("0123"),
					  .time = i};
		ck_assert_ptr_null(vec_push(&r.images, im));
	}
	r.layout.base = 0x30000;
	for (uint64_t i = 0; i < 5; i++) {
		ck_assert_ptr_null(
			vec_push(&r.layout.homes, (struct home){i * 16, 8, 0x10000 + i}));
		ck_assert_ptr_null(vec_push(&r.layout.canonicals,
					    (struct canonical){i * 64, 0x20000 + i}));
	}
	for (uint64_t i = 0; i < 3; i++)
		ck_assert_ptr_null(vec_push(&r.layout.aliases,
					    (struct entry_alias){64, 0x20100 + i}));
	layout_sort(&r.layout);
	return r;
}

START_TEST(round_trip)
{
	struct record r = sample(), back = {0};
	enum record_state state;
	size_t size;
	void *block;

	ck_assert_ptr_null(record_pack(&r, &block, &size));
	ck_assert_ptr_null(record_unpack(block, size, &back, &state));
	ck_assert_int_eq(state, RECORD_PREPARED);
	ck_assert_uint_eq(back.generation, 2);
	ck_assert_uint_eq(back.text_hash, 0x1234);
	ck_assert_uint_eq(back.images.n, 3);
	ck_assert_str_eq(back.name, "libx.so");
	ck_assert_str_eq(back.images.v[2].path, "/bin/c");
	ck_assert_uint_eq(back.layout.homes.n, 5);
	ck_assert_uint_eq(layout_data(&back.layout, 17), 0x10002); // second byte of home 1
	ck_assert_uint_eq(layout_data(&back.layout, 25), 0x30000 + 25); // behind it
	ck_assert_uint_eq(layout_function(&back.layout, 128), 0x20002);
	ck_assert_uint_eq(layout_function(&back.layout, 129), 0x30000 + 129);
	const struct entry_alias *alias;
	ck_assert_uint_eq(layout_aliases(&back.layout, 64, &alias), 3);
	ck_assert_uint_eq(layout_aliases(&back.layout, 65, &alias), 0);
	// The commit sets the state by one word.
	uint32_t live = RECORD_LIVE;
	memcpy((char *)block + record_state_offset, &live, sizeof(live));
	struct record again = {0};
	ck_assert_ptr_null(record_unpack(block, size, &again, &state));
	ck_assert_int_eq(state, RECORD_LIVE);
	record_deinit(&again);
	record_deinit(&back);
	record_deinit(&r);
	free(block);
}
END_TEST

START_TEST(damage_is_an_error)
{
	struct record r = sample();
	enum record_state state;
	size_t size;
	uint8_t *block;

	ck_assert_ptr_null(record_pack(&r, (void **)&block, &size));
	for (size_t i = 0; i < 600; i++) {
		struct record back = {0};

		if (i >= record_state_offset && i < record_state_offset + 4)
			continue;
		block[i] ^= 0x41;
		struct err *e = record_unpack(block, size, &back, &state);
		block[i] ^= 0x41;
		record_deinit(&back);
		// Behind the lists comes padding; damage there is none.
		if (!e)
			ck_assert_uint_gt(i, 400);
		err_free(e);
	}
	for (size_t n = 0; n < 400; n++) {
		struct record back = {0};
		void *cut = malloc(n ? n : 1);

		memcpy(cut, block, n);
		struct err *e = record_unpack(cut, n, &back, &state);
		ck_assert_ptr_nonnull(e);
		ck_assert_int_eq(e->kind, ERR_CORRUPT);
		err_free(e);
		record_deinit(&back);
		free(cut);
	}
	record_deinit(&r);
	free(block);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("record");
	TCase *t = tcase_create("record");

	tcase_add_test(t, round_trip);
	tcase_add_test(t, damage_is_an_error);
	suite_add_tcase(s, t);
	SRunner *runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
