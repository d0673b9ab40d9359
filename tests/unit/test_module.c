// SPDX-License-Identifier: LGPL-2.1-or-later
// elf/module: what it reads of this program, of a stripped one, and that damaged files
// never crash it.
#include <check.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf/module.h"
#include "util/cleanup.h"

int test_data = 42;
int test_bss[100];
static __thread int test_tls = 7;
const char *const test_relro = "relro";
extern const char test_rodata[4];
const char test_rodata[4] = "abc";

static char self[4096];

static vaddr_t named(const struct module *m, const char *name, enum region region)
{
	const struct symbol *s = module_symbol_named(m, name);

	ck_assert_msg(s, "%s is missing", name);
	ck_assert_int_eq(s->region, region);
	return s->addr;
}

START_TEST(reads_itself)
{
	_cleanup_(module_closep) struct module *m = NULL;
	int v;

	test_tls++;
	ck_assert_ptr_null(module_open(self, NULL, &m));
	ck_assert(m->pie && m->has_interp && m->has_symtab && module_dwarf(m));
	ck_assert_uint_eq(strlen(m->build_id), 40);
	vaddr_t data = named(m, "test_data", REGION_DATA);
	memcpy(&v, module_bytes(m, data, 4), 4);
	ck_assert_int_eq(v, 42);
	vaddr_t bss = named(m, "test_bss", REGION_BSS);
	ck_assert_ptr_null(module_bytes(m, bss, 4));
	ck_assert(module_read(m, bss, &v, 4));
	ck_assert_int_eq(v, 0);
	named(m, "test_tls", REGION_TLS);
	named(m, "test_rodata", REGION_RODATA);
	vaddr_t relro = named(m, "test_relro", REGION_RELRO);
	const struct reloc *r = module_reloc_at(m, relro);
	ck_assert_ptr_nonnull(r);
	ck_assert_str_eq((const char *)module_bytes(m, (vaddr_t)r->addend, 6), "relro");
	vaddr_t text = named(m, "named", REGION_TEXT);
	const struct symbol *s = module_symbol_at(m, text + 3, 1u << STT_FUNC);
	ck_assert_str_eq(s->name, "named");
	ck_assert_str_eq(s->file, "test_module.c");
	const struct fde *f = module_fde_at(m, text + 1);
	ck_assert(f && f->addr == text && f->size == s->size);
	ck_assert_uint_eq(m->span & 4095, 0);
	ck_assert(m->tls_memsz >= 4 && m->init_array_size >= 8);
}
END_TEST

START_TEST(versions_and_needed)
{
	_cleanup_(module_closep) struct module *m = NULL;
	bool libc = false, memcmp_seen = false;

	ck_assert_ptr_null(module_open("/bin/ls", NULL, &m));
	ck_assert(module_stripped(m));
	vec_for_each(n, &m->needed)
		libc |= !strcmp(*n, "libc.so.6");
	ck_assert(libc);
	vec_for_each(r, &m->relocs) {
		if (r->name && !strcmp(r->name, "memcmp")) {
			ck_assert_str_eq(r->version, "GLIBC_2.2.5");
			memcmp_seen = true;
		}
	}
	ck_assert(memcmp_seen);
	ck_assert_uint_gt(m->fdes.n, 50);
	for (size_t i = 1; i < m->fdes.n; i++)
		ck_assert(m->fdes.v[i - 1].addr <= m->fdes.v[i].addr);
}
END_TEST

static void refused_as(const char *path, const char *code)
{
	struct module *m = NULL;
	struct err *e = module_open(path, NULL, &m);

	ck_assert_msg(e, "%s was opened", path);
	ck_assert_str_eq(e->code, code);
	err_free(e);
}

START_TEST(foreign_files)
{
	struct module *m = NULL;
	struct err *e = module_open("/nonexistent/x", NULL, &m);

	ck_assert_int_eq(e->kind, ERR_SYSTEM);
	err_free(e);
	refused_as("/etc/passwd", "not-elf");
	refused_as("/dev/null", "not-elf");
}
END_TEST

static uint8_t *load(const char *path, size_t *size)
{
	struct stat st;
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	ck_assert(fd >= 0 && !fstat(fd, &st));
	uint8_t *p = malloc((size_t)st.st_size);
	ck_assert_int_eq(read(fd, p, (size_t)st.st_size), st.st_size);
	*size = (size_t)st.st_size;
	return p;
}

// Opens and uses a damaged copy; only an error that names a kind may come out.
static bool survives(const uint8_t *bytes, size_t size)
{
	_cleanup_(module_closep) struct module *m = NULL;
	struct err *e = module_open_memory("damaged", bytes, size, &m);
	char buf[64];

	if (e) {
		ck_assert(e->kind == ERR_CORRUPT || e->kind == ERR_REFUSED);
		ck_assert(e->code && *e->message);
		err_free(e);
		return false;
	}
	vec_for_each(s, &m->symbols) {
		module_region(m, s->addr);
		module_read(m, s->addr, buf, sizeof(buf));
		if (s->type != STT_TLS)
			ck_assert_ptr_nonnull(module_symbol_at(m, s->addr, UINT32_MAX));
	}
	vec_for_each(f, &m->fdes)
		module_bytes(m, f->addr, f->size);
	return true;
}

START_TEST(truncated_is_an_error)
{
	size_t size;
	_cleanup_free_ uint8_t *p = load("/bin/ls", &size);

	for (size_t n = 0; n < size; n += n < 1024 ? 7 : 4093)
		ck_assert_msg(!survives(p, n), "%zu of %zu bytes were enough", n, size);
	ck_assert(survives(p, size));
}
END_TEST

static uint32_t rnd(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static void flip(const char *path, unsigned rounds, uint32_t seed)
{
	size_t size;
	_cleanup_free_ uint8_t *p = load(path, &size);
	_cleanup_free_ uint8_t *copy = malloc(size);
	Elf64_Ehdr h;

	memcpy(&h, p, sizeof(h));
	for (unsigned i = 0; i < rounds; i++) {
		memcpy(copy, p, size);
		for (unsigned k = 0; k < 3; k++) {
			size_t at, from = 0, len = 64 + (size_t)h.e_phnum * 56;

			switch (rnd(&seed) % 4) {
			case 0:
				from = h.e_shoff;
				len = size - from;
				break;
			case 1: // dynamic, symbols, relocations, .eh_frame
				len = size;
				break;
			case 2:
				len = size < 16384 ? size : 16384;
				break;
			default:
				break;
			}
			at = from + rnd(&seed) % len;
			copy[at] = rnd(&seed) & 1
					   ? (uint8_t)rnd(&seed)
					   : (uint8_t)(copy[at] ^ 1u << rnd(&seed) % 8);
		}
		survives(copy, size);
	}
}

START_TEST(flipped_bytes_never_crash)
{
	flip("/bin/true", 6000, 12345);
	flip(self, 600, 777);
}
END_TEST

static void run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void run(const char *fmt, ...)
{
	char cmd[8192];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	ck_assert_msg(!system(cmd), "%s", cmd);
}

static void expect_debug(const char *prog, const char *dir, const char *want)
{
	_cleanup_(module_closep) struct module *m = NULL;

	ck_assert_ptr_null(module_open(prog, dir, &m));
	if (!want) {
		ck_assert_ptr_null(m->debug_path);
		ck_assert(!m->has_symtab && !module_dwarf(m));
		return;
	}
	ck_assert_ptr_nonnull(m->debug_path);
	ck_assert_str_eq(m->debug_path, want);
	ck_assert(m->has_symtab && module_dwarf(m));
	ck_assert_ptr_nonnull(module_symbol_named(m, "answer"));
}

START_TEST(separate_debug_files)
{
	char dir[] = "/tmp/molt-module-XXXXXX", prog[64], want[256];

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(prog, sizeof(prog), "%s/p", dir);
	run("cd %s && mkdir .debug d && echo 'int answer(void){return 42;} int main(void)"
	    "{return answer();}' >p.c && gcc -g -O0 -Wl,--build-id=sha1 p.c -o full &&"
	    "objcopy --only-keep-debug full p.debug && objcopy -S "
	    "--add-gnu-debuglink=p.debug "
	    "full p && echo 'int main(void){return 43;}' >q.c && gcc -g q.c -o other && "
	    "objcopy --only-keep-debug other other.debug",
	    dir);
	snprintf(want, sizeof(want), "%s/p.debug", dir);
	expect_debug(prog, NULL, want);
	run("cd %s && mv p.debug .debug/", dir);
	snprintf(want, sizeof(want), "%s/.debug/p.debug", dir);
	expect_debug(prog, NULL, want);
	run("cd %s && mv .debug/p.debug d/p && cp other.debug p.debug", dir);
	expect_debug(prog, NULL, NULL); // another build-id
	snprintf(want, sizeof(want), "%s/d", dir);
	char deep[300];
	snprintf(deep, sizeof(deep), "%s/d/p", dir);
	expect_debug(prog, want, deep);
	// Without a build-id only the checksum tells.
	run("cd %s && gcc -g -O0 -Wl,--build-id=none p.c -o full && rm -f p.debug && "
	    "objcopy --only-keep-debug full p.debug && "
	    "objcopy -S --add-gnu-debuglink=p.debug full p",
	    dir);
	snprintf(want, sizeof(want), "%s/p.debug", dir);
	expect_debug(prog, NULL, want);
	run("cd %s && printf x >>p.debug", dir);
	expect_debug(prog, NULL, NULL);
	run("rm -rf %s", dir);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("module");
	TCase *t = tcase_create("module");
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return EXIT_FAILURE;
	tcase_set_timeout(t, 50);
	tcase_add_test(t, reads_itself);
	tcase_add_test(t, versions_and_needed);
	tcase_add_test(t, foreign_files);
	tcase_add_test(t, truncated_is_an_error);
	tcase_add_test(t, flipped_bytes_never_crash);
	tcase_add_test(t, separate_debug_files);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
