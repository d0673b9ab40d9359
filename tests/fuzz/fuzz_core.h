// SPDX-License-Identifier: LGPL-2.1-or-later
// A core out of bytes, and all that is asked of one that opens.
#pragma once

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "image/impl.h"
#include "restore/space.h"
#include "tests/fuzz/fuzz.h"

static volatile uint64_t core_sink;

// NULL: it does not open.
static struct core *core_of(const void *data, size_t size)
{
	struct core *c = NULL;
	int fd = memfd_create("core", MFD_CLOEXEC);

	if (fd < 0)
		return NULL;
	if (write(fd, data, size) != (ssize_t)size) {
		close(fd);
		return NULL;
	}
	err_free(core_open_fd(fd, "core", &c));
	return c;
}

static void ask_memory(const struct core *c)
{
	uint8_t page[CORE_PAGE];
	size_t n;
	const struct page_run *v = core_runs(c, &n);

	for (size_t i = 0; i < n && i < 64; i++) {
		const taddr_t at[] = {v[i].addr, v[i].addr + v[i].len / 2,
				      v[i].addr + v[i].len - 1, v[i].addr + v[i].len};

		for (size_t k = 0; k < ARRAY_SIZE(at); k++) {
			struct page_run r;

			core_sink += core_find(c, at[k], &r) != NULL;
			core_sink += r.len;
			err_free(core_read_memory(c, at[k], page, sizeof(page)));
		}
	}
}

static void ask_space(const struct core *c)
{
	struct build b = {.core = c, .state = core_state(c)};

	err_free(space_parse(&b));
	space_free(b.space);
	err_free(threads_plan(&b));
	vec_free(&b.threads);
}

// Another core out of what was read.
static void ask_writer(const struct core *c)
{
	struct core_runs runs = {};
	struct core_phdrs phdrs = {};
	struct note_buffer notes = {};
	uint64_t end = CORE_PAGE;
	size_t n;
	const struct page_run *v = core_runs(c, &n);
	struct err *e = NULL;

	for (size_t i = 0; i < n && !e; i++)
		e = vec_push(&runs.v, v[i]);
	if (!e)
		e = core_plan_phdrs(core_maps(c), &runs, &end, &phdrs);
	if (!e)
		e = notes_build(core_state(c), core_objects(c), core_maps(c), &runs,
				&notes);
	err_free(e);
	vec_free(&runs.v);
	vec_free(&phdrs.v);
	vec_free(&notes.v);
}

static void ask_core(const void *data, size_t size)
{
	struct core *c = core_of(data, size);

	if (!c)
		return;
	ask_memory(c);
	ask_space(c);
	ask_writer(c);
	core_set_parent(c, core_of(data, size));
	ask_memory(c);
	core_close(c);
}
