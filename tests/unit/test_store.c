// SPDX-License-Identifier: LGPL-2.1-or-later
// The store (image/store.h): making, finding, verifying and removing checkpoints; what others damaged.
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "image/compress.h"
#include "image/json.h"
#include "image/store.h"
#include "util/cleanup.h"

enum { PAGE = 4096, BASE = 0x10000000, PAGES = 2000 };

static char folder[64];

static void fine(struct err *e)
{
	ck_assert_msg(!e, "%s", e ? e->message : "");
}

static void expect(struct err *e, enum err_kind kind, const char *code)
{
	ck_assert_ptr_nonnull(e);
	ck_assert_msg(e->kind == kind, "%s", e->message);
	ck_assert_msg(e->code && strcmp(e->code, code) == 0, "%s", e->message);
	err_free(e);
}

static void run(const char *fmt, const char *arg)
{
	_cleanup_free_ char *command = NULL;

	ck_assert_int_gt(asprintf(&command, fmt, folder, arg), 0);
	ck_assert_msg(system(command) == 0, "%s", command);
}

static void setup(void)
{
	strcpy(folder, "/tmp/molt-store-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	strcat(folder, "/s");
}

static void teardown(void)
{
	run("rm -rf $(dirname %s)%s", "");
}

static json_t *make_state(void)
{
	struct user_regs_struct regs = {.rip = BASE};
	json_t *s = json_pack(
		"{s:i, s:i, s:i, s:s, s:[{s:I, s:I, s:i, s:s}], s:[{s:i, s:s}]}",
		"format", IMAGE_FORMAT, "pid", 1, "ppid", 0, "comm", "victim", "maps",
		"start", (json_int_t)BASE, "end", (json_int_t)(BASE + PAGES * PAGE),
		"prot", 3, "kind", "anon", "threads", "tid", 1, "comm", "victim");

	fine(json_put_bytes(json_array_get(json_object_get(s, "threads"), 0), "regs",
			    &regs, sizeof(regs)));
	return s;
}

struct made {
	const char *name, *parent;
	char fill;
	bool compress, abandon;
};

static void write_pages(struct core_writer *w, const struct made *m)
{
	size_t n = m->parent ? 1 : PAGES;
	uint64_t at = core_reserve(w, n * PAGE);
	char page[PAGE];

	memset(page, m->fill, PAGE);
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(
			pwrite(core_writer_fd(w), page, PAGE, (off_t)(at + i * PAGE)),
			PAGE);
	fine(core_add_run(w, &(struct page_run){BASE, n * PAGE, at, PAGES_DATA}));
	if (m->parent)
		fine(core_add_run(w, &(struct page_run){BASE + PAGE, (PAGES - 1) * PAGE,
							0, PAGES_PARENT}));
}

static json_t *write_core(int dir, const struct made *m)
{
	_cleanup_(core_writer_freep) struct core_writer *w = NULL;
	json_t *s = make_state(), *entry;

	fine(core_create(dir, "core.1", &w));
	write_pages(w, m);
	fine(core_finish(w, s, NULL, &entry));
	json_decref(s);
	if (m->compress)
		fine(core_compress(dir, entry));
	return entry;
}

static char *make(struct made m)
{
	_cleanup_(store_closep) struct store *s = NULL;
	struct pending *p;
	char *id = NULL, *path = NULL, key[MODULE_KEY_SIZE] = "0123abcd";

	fine(store_open(folder, true, &s));
	fine(store_begin(s, m.name, &p));
	_cleanup_close_ int self = open("/proc/self/exe", O_RDONLY);
	fine(store_keep_module(s, self, key));
	ck_assert_str_eq(key, "0123abcd");
	json_t *entry = write_core(pending_dir(p), &m);
	json_t *manifest = json_pack("{s:[o], s:s?, s:I}", "processes", entry, "parent",
				     m.parent, "time", (json_int_t)1);
	if (m.abandon)
		raise(SIGKILL);
	fine(pending_commit(p, manifest, &id, &path));
	json_decref(manifest);
	ck_assert(strstr(path, id));
	free(path);
	return id;
}

static void make_id(struct made m, const char *want)
{
	_cleanup_free_ char *id = make(m);

	ck_assert_str_eq(id, want);
}

static struct err *verify(const char *which, bool quick)
{
	struct checkpoint c;

	TRY(checkpoint_open(folder, which, true, &c));
	struct err *e = checkpoint_verify(&c, quick);
	checkpoint_deinit(&c);
	return e;
}

static void expect_byte(const char *which, taddr_t addr, char want)
{
	struct checkpoint c;
	char have;

	fine(checkpoint_open(folder, which, false, &c));
	ck_assert_uint_eq(c.cores.n, 1);
	fine(core_read_memory(c.cores.v[0], addr, &have, 1));
	ck_assert_int_eq(have, want);
	checkpoint_deinit(&c);
}

START_TEST(ids_and_names)
{
	_cleanup_free_ char *path = NULL;

	make_id((struct made){.name = "first", .fill = 'a'}, "000001");
	make_id((struct made){.name = "again", .fill = 'b'}, "000002");
	make_id((struct made){.name = "again", .fill = 'c'}, "000003");
	expect_byte(NULL, BASE, 'c');
	expect_byte("1", BASE, 'a');
	expect_byte("000002", BASE, 'b');
	expect_byte("again", BASE, 'c');
	ck_assert_int_gt(asprintf(&path, "%s/000002", folder), 0);
	expect_byte(path, BASE, 'b');
	expect(verify("4", false), ERR_USAGE, "no-checkpoint");
	expect(verify("other", false), ERR_USAGE, "no-checkpoint");
	expect(verify("/tmp", false), ERR_USAGE, "no-checkpoint");
	fine(verify("1", false));
	fine(verify("1", true));
	run("test $(stat -c %%a %s) = 700 && test $(stat -c %%a %1$s/000001) = 700%s", "");
	run("test \"$(stat -c %%a %s/000001/* %1$s/modules/* | sort -u)\" = 600%s", "");
}
END_TEST

START_TEST(bad_names)
{
	static const char *const bad[] = {"", "a/b", "17", "a b", "\n"};
	_cleanup_(store_closep) struct store *s = NULL;
	struct pending *p;

	fine(store_open(folder, true, &s));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err *e = store_begin(s, bad[i], &p);

		ck_assert_ptr_nonnull(e);
		ck_assert_int_eq(e->kind, ERR_USAGE);
		err_free(e);
	}
}
END_TEST

START_TEST(chain)
{
	_cleanup_(store_closep) struct store *s = NULL;

	make_id((struct made){.fill = 'a'}, "000001");
	make_id((struct made){.fill = 'b', .parent = "000001"}, "000002");
	make_id((struct made){.fill = 'c', .parent = "000002"}, "000003");
	expect_byte("3", BASE, 'c');
	expect_byte("3", BASE + PAGE, 'a');
	fine(store_open(folder, false, &s));
	expect(store_remove(s, "1", NULL), ERR_REFUSED, "has-children");
	fine(verify("3", false));
	run("printf X | dd of=%s/000001/core.1 bs=1 seek=5000000 conv=notrunc "
	    "status=none%s",
	    "");
	expect(verify("3", true), ERR_CORRUPT, "checkpoint-corrupt");
	run("rm -r %s/000001%s", "");
	expect(verify("3", true), ERR_CORRUPT, "checkpoint-corrupt");
	struct checkpoint c;
	expect(checkpoint_open(folder, "2", false, &c), ERR_CORRUPT, "checkpoint-corrupt");
}
END_TEST

START_TEST(compressed)
{
	make_id((struct made){.fill = 'a', .compress = true}, "000001");
	make_id((struct made){.fill = 'b', .parent = "000001", .compress = true},
		"000002");
	run("test ! -e %s/000001/core.1 && test $(stat -c %%s %1$s/000001/core.1.zst) "
	    "-lt "
	    "100000%s",
	    "");
	expect_byte("2", BASE, 'b');
	expect_byte("2", BASE + PAGE, 'a');
	fine(verify("2", false));
	run("printf X | dd of=%s/000001/core.1.zst bs=1 seek=300 conv=notrunc "
	    "status=none%s",
	    "");
	expect(verify("1", true), ERR_CORRUPT, "checkpoint-corrupt");
	expect(verify("1", false), ERR_CORRUPT, "checkpoint-corrupt");
}
END_TEST

START_TEST(removing)
{
	_cleanup_(store_closep) struct store *s = NULL;
	struct stored_list l = {};

	make_id((struct made){.fill = 'a'}, "000001");
	make_id((struct made){.fill = 'b'}, "000002");
	fine(store_open(folder, false, &s));
	fine(store_remove(s, "1", NULL));
	fine(store_list(s, &l));
	ck_assert_uint_eq(l.v.n, 1);
	ck_assert_str_eq(l.v.v[0].id, "000002");
	stored_list_deinit(&l);
	run("test -e %s/modules/0123abcd%s", "");
	fine(store_remove(s, NULL, NULL));
	run("test -z \"$(ls -A %s/modules)\" && test \"$(ls -A %1$s)\" = modules%s", "");
	make_id((struct made){.fill = 'b'}, "000001");
}
END_TEST

START_TEST(left_overs)
{
	int status;
	pid_t child;

	make_id((struct made){.fill = 'a'}, "000001");
	child = fork();
	if (!child) {
		make((struct made){.fill = 'x', .abandon = true});
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status));
	run("ls -A %s | grep -q tmp%s", "");
	make_id((struct made){.fill = 'b'}, "000002");
	run("! ls -A %s | grep tmp%s", "");
}
END_TEST

// What one tool makes is no left-over for another; both get ids of their own.
START_TEST(at_the_same_time)
{
	enum { N = 8 };
	pid_t children[N];
	struct stored_list l = {};
	_cleanup_(store_closep) struct store *s = NULL;

	for (int i = 0; i < N; i++) {
		children[i] = fork();
		if (!children[i]) {
			free(make((struct made){.fill = (char)('a' + i)}));
			_exit(0);
		}
	}
	for (int i = 0; i < N; i++) {
		int status;

		ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
		ck_assert_int_eq(status, 0);
	}
	fine(store_open(folder, false, &s));
	fine(store_list(s, &l));
	ck_assert_uint_eq(l.v.n, N);
	vec_for_each(one, &l.v) {
		ck_assert_ptr_null(one->broken);
		fine(verify(one->id, false));
	}
	stored_list_deinit(&l);
}
END_TEST

START_TEST(owners)
{
	struct store *s;

	make_id((struct made){.fill = 'a'}, "000001");
	run("chmod g+w %s/000001/core.1%s", "");
	expect(verify("1", false), ERR_PERM, "store-unsafe");
	run("chmod g-w %s/000001/core.1; chmod o+w %1$s%s", "");
	expect(store_open(folder, false, &s), ERR_PERM, "store-unsafe");
	run("chmod o-w %s%s", "");
	if (geteuid() != 0)
		return;
	run("chown 12345 %s/000001/manifest.json%s", "");
	expect(verify("1", false), ERR_PERM, "store-owner");
	run("chown 12345 %s%s", "");
	expect(store_open(folder, false, &s), ERR_PERM, "store-owner");
}
END_TEST

START_TEST(other_module_of_that_build_id)
{
	_cleanup_(store_closep) struct store *s = NULL;
	char key[MODULE_KEY_SIZE] = "0123abcd";

	make_id((struct made){.fill = 'a'}, "000001");
	fine(store_open(folder, false, &s));
	_cleanup_close_ int other = open("/bin/true", O_RDONLY);
	fine(store_keep_module(s, other, key));
	ck_assert_int_eq(strncmp(key, "xxh-", 4), 0);
	_cleanup_close_ int back = -1;
	fine(store_module(s, key, &back));
	run("cmp -s /bin/true %s/modules/%s", key);
}
END_TEST

// Every text of a manifest that is no manifest.
START_TEST(hostile_manifests)
{
	static const char *const edits[] = {
		"s/core\\.1\"/..\\/core.1\"/",
		"s/core\\.1\"/core.2\"/",
		"s/\"core\": \"core.1\"/\"core\": 7/",
		"s/\"parent\": null/\"parent\": \"000001\"/",
		"s/\"parent\": null/\"parent\": \"..\\/1\"/",
		"s/\"format\": 1/\"format\": null/",
		"s/\"size\": [0-9]*/\"size\": -1/",
		"s/\"size\": [0-9]*/\"size\": 4611686018427387904/",
		"s/\"id\": \"000001\"/\"id\": \"000002\"/",
		"s/\"pid\": 1/\"pid\": 0/",
		"s/0123abcd/..\\/x/",
		"s/blocks/blokcs/",
		"s/{/[/",
		"1d",
	};

	make_id((struct made){.fill = 'a'}, "000001");
	run("cp %s/000001/manifest.json %1$s/000001/good%s", "");
	for (size_t i = 0; i < ARRAY_SIZE(edits); i++) {
		run("sed -i '%2$s' %1$s/000001/manifest.json", edits[i]);
		run("! cmp -s %1$s/000001/manifest.json %1$s/000001/good%2$s", "");
		expect(verify("1", true), ERR_CORRUPT, "checkpoint-corrupt");
		run("cp %s/000001/good %1$s/000001/manifest.json%s", "");
	}
	fine(verify("1", true));
	run("sed -i 's/\"time\": 1/\"time\": 2/' %s/000001/manifest.json%s", "");
	expect(verify("1", true), ERR_CORRUPT, "checkpoint-corrupt"); // the seal
	run("cp %s/000001/good %1$s/000001/manifest.json; rm %1$s/000001/seal%s", "");
	expect(verify("1", true), ERR_CORRUPT, "checkpoint-corrupt");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("store");
	TCase *t = tcase_create("store");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, ids_and_names);
	tcase_add_test(t, bad_names);
	tcase_add_test(t, chain);
	tcase_add_test(t, compressed);
	tcase_add_test(t, removing);
	tcase_add_test(t, left_overs);
	tcase_add_test(t, at_the_same_time);
	tcase_add_test(t, owners);
	tcase_add_test(t, other_module_of_that_build_id);
	tcase_add_test(t, hostile_manifests);
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
