// SPDX-License-Identifier: LGPL-2.1-or-later
// Memory that is still to come: compared with a plain array of pages after random drops and moves.
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "restore/pending.h"

enum { PAGE = 4096, PAGES = 512, ROUNDS = 2000 };

static void compare(const struct pending_memory *m, const int *model)
{
	struct pending_run run;
	int wrong = 0;

	for (int i = 0; i < PAGES; i++) {
		bool there = pending_at(m, (taddr_t)i * PAGE, &run);

		wrong += there != (model[i] >= 0);
		wrong += there && (run.offset != (uint64_t)model[i] * PAGE ||
				   run.addr != (taddr_t)i * PAGE);
	}
	ck_assert_int_eq(wrong, 0);
}

static void fill(struct pending_memory *m, int *model)
{
	*m = (struct pending_memory){};
	for (int i = 0; i < PAGES; i++)
		model[i] = -1;
	for (int i = 0; i < PAGES;) {
		int len = 1 + rand() % 20;

		if (i + len > PAGES)
			break;
		struct pending_run run = {.addr = (taddr_t)i * PAGE,
					  .len = (uint64_t)len * PAGE,
					  .offset = (uint64_t)(i + 1000) * PAGE};
		ck_assert_ptr_null(pending_add(m, &run));
		for (int k = i; k < i + len; k++)
			model[k] = k + 1000;
		i += len + rand() % 4;
	}
}

static void move(struct pending_memory *m, taddr_t from, taddr_t to, uint64_t len)
{
	struct pending_memory taken = {0};

	ck_assert_ptr_null(pending_take(m, from, len, &taken));
	ck_assert_ptr_null(pending_drop(m, to, len));
	ck_assert_ptr_null(pending_insert(m, &taken, to - from));
	pending_deinit(&taken);
}

START_TEST(drops_and_moves)
{
	struct pending_memory m;
	int model[PAGES];

	srand(1);
	fill(&m, model);
	for (int round = 0; round < ROUNDS; round++) {
		int from = rand() % PAGES, len = 1 + rand() % 40, to = rand() % PAGES;

		if (round % 200 == 0) {
			pending_deinit(&m);
			fill(&m, model);
		}
		if (from + len > PAGES || to + len > PAGES)
			continue;
		if (rand() % 3 ||
		    abs(to - from) < len) { // the kernel moves nothing onto itself
			ck_assert_ptr_null(pending_drop(&m, (taddr_t)from * PAGE,
							(uint64_t)len * PAGE));
			for (int i = from; i < from + len; i++)
				model[i] = -1;
		} else {
			move(&m, (taddr_t)from * PAGE, (taddr_t)to * PAGE,
			     (uint64_t)len * PAGE);
			memcpy(model + to, model + from, (size_t)len * sizeof(*model));
			for (int i = from; i < from + len; i++)
				model[i] = -1;
		}
		compare(&m, model);
	}
	pending_deinit(&m);
}
END_TEST

START_TEST(front_to_back)
{
	struct pending_memory m, copy;
	int model[PAGES];

	srand(2);
	fill(&m, model);
	ck_assert_ptr_null(pending_copy(&m, &copy));
	while (!pending_empty(&m)) {
		struct pending_run run = pending_next(&m);
		uint64_t len = run.len > PAGE ? run.len / 2 / PAGE * PAGE : run.len;

		ck_assert_ptr_null(pending_drop(&m, run.addr, len));
		for (uint64_t i = 0; i < len / PAGE; i++)
			model[run.addr / PAGE + i] = -1;
		compare(&m, model);
	}
	ck_assert(!pending_empty(&copy));
	pending_deinit(&m);
	pending_deinit(&copy);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pending");
	TCase *t = tcase_create("pending");

	tcase_add_test(t, drops_and_moves);
	tcase_add_test(t, front_to_back);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
