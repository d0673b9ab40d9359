// SPDX-License-Identifier: LGPL-2.1-or-later
// Memory of a child: vectored reads past IOV_MAX, faults that name the address, text
// written through its protection; holes found between mappings.
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/maps.h"
#include "process/memory.h"

enum { RANGES = 3000, PAGE = 4096 };
static const taddr_t GIB = 1ULL << 30;

static char *area; // two pages: the second may not be read; the same address in the child
static pid_t child;

static void setup(void)
{
	area = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	ck_assert(area != MAP_FAILED);
	for (int i = 0; i < PAGE; i++)
		area[i] = (char)(i % 127 + 1);
	mprotect(area + PAGE, PAGE, PROT_NONE);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
}

static void teardown(void)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	munmap(area, 2 * PAGE);
}

START_TEST(many_ranges)
{
	static struct mem_range r[RANGES];
	static char got[RANGES];

	for (int i = 0; i < RANGES; i++)
		r[i] = (struct mem_range){(taddr_t)area + i, &got[i], i % 7 ? 1 : 0};
	struct err *e = mem_read_many(child, r, RANGES);
	ck_assert_msg(!e, "%s", e ? e->message : "");
	for (int i = 0; i < RANGES; i++)
		ck_assert_int_eq(got[i], i % 7 ? area[i] : 0);
	for (int i = 0; i < RANGES; i++)
		got[i] = (char)(i % 3);
	ck_assert_ptr_null(mem_write_many(child, r, RANGES));
	char back[RANGES];
	ck_assert_ptr_null(mem_read(child, (taddr_t)area, back, RANGES));
	for (int i = 0; i < RANGES; i++)
		ck_assert_int_eq(back[i], i % 7 ? i % 3 : area[i]);
}
END_TEST

START_TEST(fault_names_address)
{
	char buf[64], want[32];
	struct err *e = mem_read(child, (taddr_t)area + PAGE - 16, buf, sizeof(buf));

	snprintf(want, sizeof(want), "%p", (void *)(area + PAGE));
	ck_assert_ptr_nonnull(e);
	ck_assert_int_eq(e->errnum, EFAULT);
	ck_assert_msg(strstr(e->message, want), "%s", e->message);
	err_free(e);
	e = mem_read(child, UINT64_MAX - 8, buf, sizeof(buf));
	ck_assert_ptr_nonnull(e);
	err_free(e);
}
END_TEST

START_TEST(poke_through_protection)
{
	char in[] = "text", out[sizeof(in)];

	ck_assert_ptr_null(mem_poke(child, (taddr_t)area + PAGE, in, sizeof(in)));
	struct err *e = mem_write(child, (taddr_t)area + PAGE, in, sizeof(in));
	ck_assert_ptr_nonnull(e);
	err_free(e);
	e = mem_read(child, (taddr_t)area + PAGE, out, sizeof(out));
	ck_assert_ptr_nonnull(e);
	err_free(e);
}
END_TEST

START_TEST(strings)
{
	char buf[32];

	strcpy(area, "abc");
	ck_assert_ptr_null(mem_write(child, (taddr_t)area + PAGE - 4, "end", 4));
	ck_assert_ptr_null(
		mem_read_string(child, (taddr_t)area + PAGE - 4, buf, sizeof(buf)));
	ck_assert_str_eq(buf, "end");
	struct err *e = mem_read_string(child, (taddr_t)area + 8, buf, sizeof(buf));
	ck_assert_ptr_nonnull(e);
	ck_assert_int_eq(e->kind, ERR_CORRUPT);
	err_free(e);
}
END_TEST

START_TEST(dead_target)
{
	char c;
	pid_t gone = fork();

	if (!gone)
		_exit(0);
	waitpid(gone, NULL, 0);
	struct err *e = mem_read(gone, (taddr_t)area, &c, 1);
	ck_assert_ptr_nonnull(e);
	ck_assert_int_eq(e->kind, ERR_LOST);
	err_free(e);
}
END_TEST

START_TEST(maps_of_child)
{
	struct maps m;

	ck_assert_ptr_null(maps_read(child, &m));
	const struct mapping *first = maps_at(&m, (taddr_t)area), *second;
	ck_assert_ptr_nonnull(first);
	ck_assert_int_eq(first->prot, PROT_READ | PROT_WRITE);
	second = maps_at(&m, (taddr_t)area + PAGE);
	ck_assert_ptr_nonnull(second);
	ck_assert_int_eq(second->prot, PROT_NONE);
	ck_assert_ptr_null(maps_at(&m, 0));
	const struct mapping *text = maps_at(&m, (taddr_t)&maps_read);
	ck_assert_ptr_nonnull(text);
	ck_assert_msg(strstr(text->path, "test_memory"), "%s", text->path);
	ck_assert(text->prot & PROT_EXEC);
	ck_assert(text->ino != 0);
	maps_deinit(&m);
}
END_TEST

START_TEST(hole_of_child_is_free)
{
	struct maps m;

	ck_assert_ptr_null(maps_read(child, &m));
	const struct mapping *text = maps_at(&m, (taddr_t)&maps_read);
	taddr_t at = maps_find_hole(&m, text->start, text->end, 5 * PAGE + 1, PAGE);
	ck_assert_uint_ne(at, 0);
	ck_assert_uint_eq(at % PAGE, 0);
	ck_assert_uint_lt(at, text->start);
	ck_assert_uint_lt(text->end - at, 1ULL << 31);
	for (taddr_t p = at - PAGE; p < at + 7 * PAGE; p += PAGE)
		ck_assert_ptr_null(maps_at(&m, p));
	maps_deinit(&m);
}
END_TEST

static taddr_t hole(struct mapping *v, size_t n, taddr_t lo, taddr_t hi, uint64_t size)
{
	struct maps m = {{v, n, n}};

	return maps_find_hole(&m, lo, hi, size, 0);
}

START_TEST(hole_choice)
{
	taddr_t t = 16 * GIB;
	struct mapping v[] = {
		{.start = t - 4 * GIB, .end = t - PAGE, .path = ""},
		{.start = t, .end = t + PAGE, .path = "exe"},
		{.start = t + PAGE, .end = t + 2 * PAGE, .path = "[heap]"},
		{.start = t + GIB, .end = t + GIB + PAGE, .path = "lib"},
		{.start = t + 2 * GIB, .end = t + 3 * GIB, .path = "[stack]"},
	};
	size_t n = ARRAY_SIZE(v);

	// One page fits below; two go above, but not beside the heap when another gap
	// will do.
	ck_assert_uint_eq(hole(v, n, t, t + PAGE, PAGE), t - PAGE);
	ck_assert_uint_eq(hole(v, n, t, t + PAGE, 2 * PAGE), t + GIB + PAGE);
	// Only the gap behind the heap is left: as far from it as can be.
	v[3].end = t + 2 * GIB;
	ck_assert_uint_eq(hole(v, n, t, t + PAGE, 2 * PAGE), t + GIB - 2 * PAGE);
	// The kernel's gap below the stack is no hole, and reach is the displacement's.
	v[3].path = (char[]){"[stack]"};
	ck_assert_uint_eq(hole(v, n, t, t + PAGE, GIB - PAGE * 4), 0);
	v[3].start = t + PAGE * 2;
	ck_assert_uint_eq(hole(v, n, t, t + PAGE, 2 * PAGE), 0);
	ck_assert_uint_eq(hole(v, n, t, t + PAGE, 0), 0);
	ck_assert_uint_eq(hole(v, n, t, t + PAGE, UINT64_MAX), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("memory");
	TCase *t = tcase_create("child");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, many_ranges);
	tcase_add_test(t, fault_names_address);
	tcase_add_test(t, poke_through_protection);
	tcase_add_test(t, strings);
	tcase_add_test(t, dead_target);
	tcase_add_test(t, maps_of_child);
	tcase_add_test(t, hole_of_child_is_free);
	tcase_add_test(t, hole_choice);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failures = srunner_ntests_failed(r);
	srunner_free(r);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
