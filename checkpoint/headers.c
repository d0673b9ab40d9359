// SPDX-License-Identifier: LGPL-2.1-or-later
// The first page of each program and library: debuggers that have only the core find by it which build was mapped.
#include <elf.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint/task.h"
#include "util/cleanup.h"

enum { PAGE = 4096 };

static bool is_present(const struct page_ranges *p, taddr_t addr)
{
	size_t lo = 0, hi = p->v.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (p->v.v[mid].addr + p->v.v[mid].len <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < p->v.n && p->v.v[lo].addr <= addr;
}

// The kept file is what is mapped; nobody wrote to the page, or it would be present.
static struct err *add_header(struct core_writer *w, const struct store *store,
			      const struct vma *v)
{
	_cleanup_close_ int fd = -1;
	char page[PAGE] = {0};

	TRY(store_module(store, v->key, &fd));
	if (pread(fd, page, sizeof(page), 0) < SELFMAG || memcmp(page, ELFMAG, SELFMAG))
		return NULL;
	uint64_t at = core_reserve(w, PAGE);
	if (pwrite(core_writer_fd(w), page, PAGE, (off_t)at) != PAGE)
		return err_with(err_new(ERR_SYSTEM, "the store has no room left"),
				"store-full", NULL);
	return core_add_run(w, &(struct page_run){v->m->start, PAGE, at, PAGES_DATA});
}

struct err *task_add_headers(const struct task *t, const struct store *store)
{
	vec_for_each(v, &t->vmas.v)
		if (v->kind == VMA_FILE && v->key && v->m->offset == 0 &&
		    !is_present(&t->present, v->m->start))
			TRY(add_header(t->core, store, v));
	return NULL;
}
