// SPDX-License-Identifier: LGPL-2.1-or-later
// The list of modules of a child and symbols in it, against what ld.so itself says.
#include <check.h>
#include <dlfcn.h>
#include <link.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/link_map.h"

static pid_t child;
static struct module *exe;
static struct link_list list;

static int base_of_exe(struct dl_phdr_info *info, size_t size, void *ret)
{
	(void)size;
	*(taddr_t *)ret = info->dlpi_addr;
	return 1; // the executable comes first
}

static void setup(void)
{
	taddr_t base = 0;

	dl_iterate_phdr(base_of_exe, &base);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	ck_assert_ptr_null(module_open("/proc/self/exe", NULL, &exe));
	struct err *e = link_list_read(child, base + exe->dynamic, &list);
	ck_assert_msg(!e, "%s", e ? e->message : "");
}

static void teardown(void)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	link_list_deinit(&list);
	module_close(exe);
}

START_TEST(same_list)
{
	struct link_map *lm = dlopen(NULL, RTLD_LAZY);

	for (size_t i = 0; i < list.v.n; i++, lm = lm->l_next) {
		ck_assert_ptr_nonnull(lm);
		ck_assert_uint_eq(list.v.v[i].addr, (taddr_t)lm);
		ck_assert_uint_eq(list.v.v[i].base, lm->l_addr);
		ck_assert_str_eq(list.v.v[i].name, lm->l_name);
	}
	ck_assert_ptr_null(lm);
	ck_assert_uint_ge(list.v.n, 3);
}
END_TEST

#ifndef __SANITIZE_ADDRESS__
static taddr_t lookup(const char *name, const char *version, bool skip_exe)
{
	bool ifunc, found;
	taddr_t at;
	struct err *e = link_lookup(&list, name, version, skip_exe, &at, &ifunc, &found);

	ck_assert_msg(!e, "%s", e ? e->message : "");
	ck_assert(found || !at);
	return found ? at : 0;
}

START_TEST(versions)
{
	// Both versions are in libc; the default one is what a name without version gets.
	taddr_t old = (taddr_t)dlvsym(RTLD_DEFAULT, "regexec", "GLIBC_2.2.5");
	taddr_t new = (taddr_t)dlvsym(RTLD_DEFAULT, "regexec", "GLIBC_2.3.4");

	ck_assert_uint_ne(old, new);
	ck_assert_uint_eq(lookup("regexec", "GLIBC_2.2.5", false), old);
	ck_assert_uint_eq(lookup("regexec", "GLIBC_2.3.4", false), new);
	ck_assert_uint_eq(lookup("regexec", NULL, false), new);
	ck_assert_uint_eq(lookup("regexec", "GLIBC_9", false), 0);
	ck_assert_uint_eq(lookup("no_such_symbol", NULL, false), 0);
	ck_assert_uint_eq(lookup("errno", NULL, false), 0); // thread-local
	ck_assert_uint_eq(lookup("malloc", NULL, true),
			  (taddr_t)dlsym(RTLD_DEFAULT, "malloc"));
}
END_TEST

START_TEST(all_of_libc)
{
	struct link_entry *libc = NULL;
	size_t compared = 0, ifuncs = 0;

	lookup("malloc", NULL, true); // opens files up to libc's
	vec_for_each(e, &list.v) {
		if (strstr(e->name, "/libc.so"))
			libc = e;
	}
	ck_assert_ptr_nonnull(libc);
	ck_assert_ptr_nonnull(libc->file);
	for (size_t i = 1; i < libc->file->dynsyms.n; i++) {
		const struct symbol *s = &libc->file->dynsyms.v[i];
		bool ifunc, found;
		taddr_t at;

		if (!s->defined || !s->version || s->type == STT_TLS ||
		    !strcmp(s->name, s->version))
			continue;
		ck_assert_ptr_null(link_lookup(&list, s->name, s->version, true, &at,
					       &ifunc, &found));
		ck_assert_msg(found, "%s@%s", s->name, s->version);
		taddr_t want = (taddr_t)dlvsym(RTLD_DEFAULT, s->name, s->version);
		// The executable's own copy of a variable comes first for ld.so.
		if (ifunc || (want >= exe->span && want - list.v.v[0].base < exe->span)) {
			ifuncs += ifunc;
			continue;
		}
		ck_assert_msg(at == want, "%s@%s", s->name, s->version);
		compared++;
	}
	ck_assert_uint_gt(compared, 2000);
	ck_assert_uint_gt(ifuncs, 10);
}
END_TEST
#endif

START_TEST(hostile_list)
{
	// l_prev of the second entry is made wrong: the walk says so and does not follow it.
	struct err *e;
	struct link_list l;
	taddr_t at = list.v.v[1].addr + offsetof(struct link_map, l_prev), wrong = 1;

	ck_assert_ptr_null(mem_write(child, at, &wrong, sizeof(wrong)));
	e = link_list_read(child, list.v.v[0].base + exe->dynamic, &l);
	ck_assert_ptr_nonnull(e);
	ck_assert_str_eq(e->code, "no-link-map");
	err_free(e);
	// ld.so is in the middle of its work and does not come to an end.
	int state = RT_ADD;
	at = list.r_debug + offsetof(struct r_debug, r_state);
	ck_assert_ptr_null(mem_write(child, at, &state, sizeof(state)));
	e = link_list_read(child, list.v.v[0].base + exe->dynamic, &l);
	ck_assert_ptr_nonnull(e);
	ck_assert_str_eq(e->code, "link-map-changing");
	err_free(e);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("link_map");
	TCase *t = tcase_create("link_map");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, same_list);
#ifndef __SANITIZE_ADDRESS__
	// ASan's library stands in front of libc with the same names and no versions, which a
	// relocation takes and dlvsym does not.
	tcase_add_test(t, versions);
	tcase_add_test(t, all_of_libc);
#endif
	tcase_add_test(t, hostile_list);
	tcase_set_timeout(t, 20);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failures = srunner_ntests_failed(r);
	srunner_free(r);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
