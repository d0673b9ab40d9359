// SPDX-License-Identifier: LGPL-2.1-or-later
// See pages.h.
#include "checkpoint/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "os/pagemap.h"
#include "os/proc.h"
#include "os/uapi.h"

enum { BATCH = 1024 };

struct err *pagemap_open(pid_t pid, struct pagemap *ret)
{
	struct os_pages ignored;
	uint64_t next;

	*ret = (struct pagemap){.fd = os_proc_open(pid, 0, "pagemap", O_RDONLY)};
	if (ret->fd < 0)
		return err_sys(ret->fd == -ENOENT ? ESRCH : ret->fd,
			       "cannot read the page table of process %d", pid);
	int r = os_pagemap_scan(ret->fd, &(struct os_pagemap_query){0}, &ignored, 1,
				&next);
	ret->old = r == -ENOTTY || r == -EINVAL;
	return NULL;
}

void pagemap_close(struct pagemap *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

// An anonymous page that is the kernel's page of zeros has never been written; a private one of a file that was has no
// page of the file's any more.
static bool belongs(const struct vma *v, uint64_t categories)
{
	if (v->content == CONTENT_WRITTEN && categories & UAPI_PAGE_IS_FILE)
		return false;
	return !(v->kind == VMA_ANON && categories & UAPI_PAGE_IS_PFNZERO);
}

struct walk {
	const struct pagemap *p;
	const struct vma *v;
	enum scan how;
	struct page_ranges *present, *dirty;
};

// What was armed and given back (MADV_DONTNEED) in a mapping of a file leaves a mark that looks like a page that was swapped out and
// not written, while its bytes are the file's again.
static bool may_be_marker(const struct vma *v, uint64_t categories)
{
	return v->kind != VMA_ANON && categories & UAPI_PAGE_IS_SWAPPED;
}

static struct err *take(const struct walk *w, const struct os_pages *p)
{
	if (!belongs(w->v, p->categories))
		return NULL;
	TRY(ranges_append(w->present, p->start, p->end - p->start));
	if (w->how == SCAN_ALL || p->categories & UAPI_PAGE_IS_WRITTEN ||
	    may_be_marker(w->v, p->categories))
		TRY(ranges_append(w->dirty, p->start, p->end - p->start));
	return NULL;
}

static uint64_t flags_of(enum scan how)
{
	switch (how) {
	case SCAN_TRACKED:
		return UAPI_PM_SCAN_CHECK_WPASYNC;
	case SCAN_REARM:
		return UAPI_PM_SCAN_WP_MATCHING;
	case SCAN_ALL:
		break;
	}
	return 0;
}

// A mapping that was moved or made anew has lost its registration.
static bool lost_registration(const struct walk *w, int r)
{
	return r == -EPERM && w->how == SCAN_TRACKED;
}

static struct err *scan(struct walk *w)
{
	const struct mapping *m = w->v->m;
	struct os_pages vec[BATCH];
	struct os_pagemap_query query = {
		.start = m->start,
		.end = m->end,
		.flags = flags_of(w->how),
		.all = w->how == SCAN_REARM ? UAPI_PAGE_IS_WRITTEN : 0,
		.any = UAPI_PAGE_IS_PRESENT | UAPI_PAGE_IS_SWAPPED,
		// Whether a page is a file's is seen in its struct page, and for memory of this size these are not in any cache.
		.report = UAPI_PAGE_IS_WRITTEN |
			  (w->v->kind == VMA_ANON
				   ? UAPI_PAGE_IS_PFNZERO
				   : UAPI_PAGE_IS_FILE | UAPI_PAGE_IS_SWAPPED)};

	while (query.start < m->end) {
		uint64_t next = query.start;
		int n = w->p->old ? os_pagemap_read(w->p->fd, &query, vec, BATCH, &next)
				  : os_pagemap_scan(w->p->fd, &query, vec, BATCH, &next);

		if (lost_registration(w, n)) {
			w->how = SCAN_ALL;
			query.flags = 0;
			continue;
		}
		if (n < 0)
			return err_sys(n, "cannot read the page table at 0x%" PRIx64,
				       query.start);
		for (int i = 0; i < n; i++)
			TRY(take(w, &vec[i]));
		if (next <= query.start)
			return err_new(ERR_INTERNAL,
				       "the page table is not told beyond 0x%" PRIx64,
				       query.start);
		query.start = next;
	}
	return NULL;
}

struct err *pagemap_scan(const struct pagemap *p, const struct vma *v, enum scan how,
			 struct page_ranges *present, struct page_ranges *dirty)
{
	uint64_t len = v->m->end - v->m->start;

	switch (v->content) {
	case CONTENT_NONE:
		return NULL;
	case CONTENT_ALL:
		TRY(ranges_append(present, v->m->start, len));
		return ranges_append(dirty, v->m->start, len);
	case CONTENT_TOUCHED:
	case CONTENT_WRITTEN:
		break;
	}
	return scan(&(struct walk){p, v, how, present, dirty});
}
