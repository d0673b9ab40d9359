// SPDX-License-Identifier: LGPL-2.1-or-later
// Test inputs made by the compilers of this machine, in a folder that goes away with the
// test.
#pragma once

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "elf/module.h"
#include "util/cleanup.h"

struct compile_dir {
	char path[64];
};

static inline struct compile_dir compile_dir_make(void)
{
	struct compile_dir d = {"/tmp/molt-unit-XXXXXX"};

	ck_assert_ptr_nonnull(mkdtemp(d.path));
	return d;
}

__attribute__((format(printf, 1, 2))) static inline void compile_run(const char *fmt, ...)
{
	char command[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	int rc = system(command);
	ck_assert_msg(WIFEXITED(rc) && !WEXITSTATUS(rc), "failed: %s", command);
}

static inline void compile_dir_remove(const struct compile_dir *d)
{
	compile_run("rm -rf '%s'", d->path);
}

static inline void compile_write(const struct compile_dir *d, const char *name,
				 const char *text)
{
	_cleanup_free_ char *path = NULL;

	ck_assert_int_gt(asprintf(&path, "%s/%s", d->path, name), 0);
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
}

// Runs `compiler flags` in DIR/sub on the file `name` there and opens the result.
static inline struct module *compile_module(const struct compile_dir *d, const char *sub,
					    const char *compiler, const char *name,
					    const char *text)
{
	char path[4096];
	struct module *m = NULL;

	snprintf(path, sizeof(path), "%s/%s", d->path, sub);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/%s", sub, name);
	compile_write(d, path, text);
	compile_run("cd '%s/%s' && %s -o a.out %s", d->path, sub, compiler, name);
	snprintf(path, sizeof(path), "%s/%s/a.out", d->path, sub);
	struct err *e = module_open(path, NULL, &m);
	ck_assert_msg(!e, "%s", e ? e->message : "");
	return m;
}
