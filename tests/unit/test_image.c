// SPDX-License-Identifier: LGPL-2.1-or-later
// Cores (image/image.h): what is written is read again, and other tools open it.
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <unistd.h>

#include "image/impl.h"
#include "image/json.h"
#include "util/cleanup.h"

enum { PAGE = 4096, BASE = 0x10000000 };

static char folder[] = "/tmp/molt-image-XXXXXX";
static int dir;

static void fine(struct err *e)
{
	ck_assert_msg(!e, "%s", e ? e->message : "");
}

static void expect_corrupt(struct err *e, const char *part)
{
	ck_assert_ptr_nonnull(e);
	ck_assert_msg(e->kind == ERR_CORRUPT, "%s", e->message);
	ck_assert_str_eq(e->code, "checkpoint-corrupt");
	ck_assert_msg(strstr(e->message, part), "%s", e->message);
	err_free(e);
}

static void setup(void)
{
	strcpy(folder, "/tmp/molt-image-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	dir = open(folder, O_RDONLY | O_DIRECTORY);
	ck_assert_int_ge(dir, 0);
}

static void teardown(void)
{
	unlinkat(dir, "core.1", 0);
	unlinkat(dir, "core.2", 0);
	close(dir);
	rmdir(folder);
}

static json_t *one_map(uint64_t start, uint64_t end, const char *kind)
{
	json_t *m = json_pack("{s:I, s:I, s:i, s:s}", "start", (json_int_t)start, "end",
			      (json_int_t)end, "prot", 3, "kind", kind);

	if (strcmp(kind, "file") == 0) {
		json_object_set_new(m, "offset", json_integer(PAGE));
		json_object_set_new(m, "file",
				    json_pack("{s:s}", "path", "/usr/lib/libx.so"));
	}
	return m;
}

static json_t *make_state(json_t *maps)
{
	struct user_regs_struct regs = {.rip = BASE, .rsp = BASE + PAGE};
	json_t *s = json_pack("{s:i, s:i, s:i, s:s, s:o, s:[{s:i, s:s}]}", "format",
			      IMAGE_FORMAT, "pid", 1, "ppid", 0, "comm", "victim", "maps",
			      maps, "threads", "tid", 1, "comm", "victim");
	json_t *thread = json_array_get(json_object_get(s, "threads"), 0);
	uint8_t xstate[2440] = {1};

	fine(json_put_bytes(thread, "regs", &regs, sizeof(regs)));
	fine(json_put_bytes(thread, "xstate", xstate, sizeof(xstate)));
	fine(json_put_mask(thread, "sigmask", 0x8000000000000001));
	return s;
}

static void put_page(struct core_writer *w, uint64_t at, char c)
{
	char page[PAGE];

	memset(page, c, PAGE);
	ck_assert_int_eq(pwrite(core_writer_fd(w), page, PAGE, (off_t)at), PAGE);
}

static void finish(struct core_writer *w, json_t *maps)
{
	json_t *s = make_state(maps), *objects = json_pack("{s:[]}", "files"), *entry;

	fine(core_finish(w, s, objects, &entry));
	ck_assert_uint_gt(json_array_size(json_object_get(entry, "blocks")), 0);
	json_decref(entry);
	json_decref(s);
	json_decref(objects);
}

static void expect_page(const struct core *c, taddr_t addr, char want)
{
	char page[PAGE], all[PAGE];

	memset(all, want, PAGE);
	fine(core_read_memory(c, addr, page, PAGE));
	ck_assert_mem_eq(page, all, PAGE);
}

// data, zero, untouched, data; the untouched page was copied early and left its bytes.
static void write_first(const char *name)
{
	struct core_writer *w;

	fine(core_create(dir, name, &w));
	uint64_t at = core_reserve(w, 4 * PAGE);
	for (unsigned i = 0; i < 4; i++)
		put_page(w, at + i * PAGE, (char)('a' + i));
	fine(core_add_run(
		w, &(struct page_run){BASE + 3 * PAGE, PAGE, at + 3 * PAGE, PAGES_DATA}));
	fine(core_add_run(w, &(struct page_run){BASE, PAGE, at, PAGES_DATA}));
	fine(core_add_run(w, &(struct page_run){BASE + PAGE, PAGE, 0, PAGES_ZERO}));
	finish(w, json_pack("[o, o]", one_map(BASE, BASE + 4 * PAGE, "anon"),
			    one_map(BASE + 4 * PAGE, BASE + 5 * PAGE, "file")));
	core_writer_free(w);
}

START_TEST(round_trip)
{
	_cleanup_(core_closep) struct core *c = NULL;
	struct page_run r;
	char page[PAGE], byte;
	size_t n;

	write_first("core.1");
	fine(core_open(dir, "core.1", &c));
	ck_assert_str_eq(json_string_value(json_object_get(core_state(c), "comm")),
			 "victim");
	ck_assert(json_is_array(json_object_get(core_objects(c), "files")));
	core_runs(c, &n);
	ck_assert_uint_eq(n, 3);
	expect_page(c, BASE, 'a');
	expect_page(c, BASE + PAGE, 0);
	expect_page(c, BASE + 2 * PAGE, 0);
	expect_page(c, BASE + 3 * PAGE, 'd');
	ck_assert_ptr_eq(core_find(c, BASE + 100, &r), c);
	ck_assert_uint_eq(r.len, PAGE - 100);
	ck_assert_ptr_null(core_find(c, BASE + 2 * PAGE, &r));
	ck_assert_uint_eq(r.len, 0);
	expect_corrupt(core_read_memory(c, BASE + 4 * PAGE, page, PAGE), "not in it");
	expect_corrupt(core_read_memory(c, BASE - PAGE, page, PAGE), "not in it");
	// One PT_LOAD covers the four pages; the stale ones are holes.
	ck_assert_int_eq(pread(core_fd(c), &byte, 1, PAGE + 2 * PAGE), 1);
	ck_assert_int_eq(byte, 0);
}
END_TEST

START_TEST(incremental)
{
	struct core_writer *w;
	struct core *parent;
	_cleanup_(core_closep) struct core *c = NULL;

	write_first("core.1");
	fine(core_create(dir, "core.2", &w));
	uint64_t at = core_reserve(w, PAGE);
	put_page(w, at, 'n');
	fine(core_add_run(w, &(struct page_run){BASE, 2 * PAGE, 0, PAGES_PARENT}));
	fine(core_add_run(w, &(struct page_run){BASE + 2 * PAGE, PAGE, at, PAGES_DATA}));
	fine(core_add_run(w, &(struct page_run){BASE + 3 * PAGE, PAGE, 0, PAGES_PARENT}));
	finish(w, json_pack("[o]", one_map(BASE, BASE + 4 * PAGE, "anon")));
	core_writer_free(w);
	fine(core_open(dir, "core.2", &c));
	fine(core_open(dir, "core.1", &parent));
	core_set_parent(c, parent);
	expect_page(c, BASE, 'a');
	expect_page(c, BASE + PAGE, 0);
	expect_page(c, BASE + 2 * PAGE, 'n');
	expect_page(c, BASE + 3 * PAGE, 'd');
}
END_TEST

START_TEST(runs_that_overlap)
{
	_cleanup_(core_writer_freep) struct core_writer *w = NULL;
	json_t *s = make_state(json_array()), *entry;

	fine(core_create(dir, "core.1", &w));
	fine(core_add_run(w, &(struct page_run){BASE, 2 * PAGE, 0, PAGES_ZERO}));
	fine(core_add_run(w, &(struct page_run){BASE + PAGE, PAGE, 0, PAGES_ZERO}));
	struct err *e = core_finish(w, s, NULL, &entry);
	ck_assert_ptr_nonnull(e);
	err_free(e);
	e = core_add_run(w, &(struct page_run){BASE, PAGE, PAGE, PAGES_DATA});
	ck_assert_ptr_nonnull(e); // not reserved
	err_free(e);
	json_decref(s);
}
END_TEST

START_TEST(many_headers)
{
	enum { N = 70000 };
	_cleanup_(core_closep) struct core *c = NULL;
	struct core_writer *w;
	json_t *maps = json_array();
	size_t n;

	for (size_t i = 0; i < N; i++)
		json_array_append_new(maps, one_map(BASE + 2 * i * PAGE,
						    BASE + (2 * i + 1) * PAGE, "anon"));
	fine(core_create(dir, "core.1", &w));
	finish(w, maps);
	core_writer_free(w);
	fine(core_open(dir, "core.1", &c));
	core_runs(c, &n);
	ck_assert_uint_eq(n, 0);
	_cleanup_free_ char *command = NULL;
	ck_assert_int_gt(asprintf(&command,
				  "readelf -hW %s/core.1 | grep -q '65535 (70001)' && "
				  "readelf -lW %s/core.1 | grep -c LOAD | grep -qx %d",
				  folder, folder, N),
			 0);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

static void damage(off_t at, const void *bytes, size_t n)
{
	int fd = openat(dir, "core.1", O_RDWR);

	ck_assert_int_eq(pwrite(fd, bytes, n, at), (ssize_t)n);
	close(fd);
}

START_TEST(no_core)
{
	struct core *c;

	expect_corrupt(core_open(dir, "core.1", &c), "missing");
	ck_assert_int_eq(symlinkat("core.2", dir, "core.1"), 0);
	expect_corrupt(core_open(dir, "core.1", &c), "symbolic link");
	unlinkat(dir, "core.1", 0);
	write_first("core.1");
	damage(0, "X", 1);
	expect_corrupt(core_open(dir, "core.1", &c), "no core");
	damage(0, "\x7f", 1);
	damage(39, "\x7f", 1); // e_phoff
	expect_corrupt(core_open(dir, "core.1", &c), "program headers");
}
END_TEST

// Cut at any length, or with any byte of the tail changed, it is refused or reads as one that is whole.
START_TEST(every_cut)
{
	struct stat st;

	write_first("core.1");
	ck_assert_int_eq(fstatat(dir, "core.1", &st, 0), 0);
	for (off_t size = st.st_size - 1; size >= 0; size -= size > PAGE ? 37 : 97) {
		struct core *c;
		int fd = openat(dir, "core.1", O_RDWR);

		ck_assert_int_eq(ftruncate(fd, size), 0);
		close(fd);
		expect_corrupt(core_open(dir, "core.1", &c), "core.1");
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("image");
	TCase *t = tcase_create("core");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, round_trip);
	tcase_add_test(t, incremental);
	tcase_add_test(t, runs_that_overlap);
	tcase_add_test(t, many_headers);
	tcase_add_test(t, no_core);
	tcase_add_test(t, every_cut);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	SRunner *r = srunner_create(suite());
	int failed;

	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
