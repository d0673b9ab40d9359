// SPDX-License-Identifier: LGPL-2.1-or-later
// Makes the pages of a commit writable and private, and puts their protections back.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <sys/syscall.h>

#include "process/commit_impl.h"
#include "util/cleanup.h"

static const taddr_t PAGE = PAYLOAD_PAGE;
static const uint64_t SMALL_MAPPING = 64 * PAYLOAD_PAGE;
static const uint64_t TOUCH_TIMEOUT_NS = 5000000000;

typedef VEC(struct syscall_req) req_list;
typedef VEC(struct commit_span) span_list;

static void req_list_deinit(req_list *v)
{
	vec_free(v);
}

static void span_list_deinit(span_list *v)
{
	vec_free(v);
}

static int by_address(const void *a, const void *b)
{
	const struct commit_span *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

const struct commit_span *commit_prepared(const struct commit *c, taddr_t addr,
					  uint64_t len)
{
	size_t lo = 0, hi = c->pages.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct commit_span *s = &c->pages.v[mid];

		if (s->addr + s->len <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == c->pages.n || c->pages.v[lo].addr > addr ||
	    addr + len > c->pages.v[lo].addr + c->pages.v[lo].len)
		return NULL;
	return &c->pages.v[lo];
}

// Sorts spans, widens them to pages and merges what touches; *n becomes the new number.
static struct err *merge_pages(struct commit_span *spans, size_t *n)
{
	size_t out = 0;

	for (size_t i = 0; i < *n; i++) {
		taddr_t end;

		if (__builtin_add_overflow(spans[i].addr, spans[i].len, &end) ||
		    end > UINT64_MAX - PAGE)
			return err_new(ERR_INTERNAL, "a range at 0x%llx has no end",
				       (unsigned long long)spans[i].addr);
		spans[i].addr &= ~(PAGE - 1);
		spans[i].len = spans[i].len ? roundup(end, PAGE) - spans[i].addr : 0;
	}
	qsort(spans, *n, sizeof(*spans), by_address);
	for (size_t i = 0; i < *n; i++) {
		struct commit_span *last = out ? &spans[out - 1] : NULL;

		if (!spans[i].len)
			continue;
		if (last && last->addr + last->len >= spans[i].addr)
			last->len = MAX(last->addr + last->len,
					spans[i].addr + spans[i].len) -
				    last->addr;
		else
			spans[out++] = spans[i];
	}
	*n = out;
	return NULL;
}

// Notes what has to be made writable for [addr, end) of one mapping, behind the `n` ranges there are. All of
// a small mapping, and in a large one all from the first to the last page: the kernel does not join
// mappings again that were writable for a while, and each call costs.
static struct err *note_range(struct commit *c, const struct mapping *m, taddr_t addr,
			      taddr_t end, size_t first, size_t *n)
{
	struct commit_range *last = *n > first ? &c->ranges[*n - 1] : NULL;

	if (m->shared)
		return err_refuse(
			"shared-text", m->path,
			"the page at 0x%llx (%s) is shared with other processes",
			(unsigned long long)addr, *m->path ? m->path : "anonymous");
	if (m->prot & PROT_WRITE)
		return NULL;
	if (m->end - m->start <= SMALL_MAPPING) {
		addr = m->start;
		end = m->end;
	}
	if (last && last->addr >= m->start && last->addr < m->end) {
		last->len = MAX(last->addr + last->len, end) - last->addr;
		return NULL;
	}
	if (*n == c->max_ranges)
		return err_new(ERR_INTERNAL, "no room for more than %zu page ranges",
			       c->max_ranges);
	c->ranges[(*n)++] = (struct commit_range){
		.addr = addr, .len = end - addr, .prot = (uint32_t)m->prot};
	return NULL;
}

// Notes the part of a span that is not prepared yet, mapping by mapping.
static struct err *note_span(struct commit *c, const struct maps *maps,
			     const struct commit_span *s, size_t first, size_t *n,
			     span_list *added)
{
	taddr_t at = s->addr, end = s->addr + s->len;

	while (at < end) {
		const struct commit_span *have = commit_prepared(c, at, 1);
		const struct mapping *m;
		taddr_t stop = end;

		if (have) {
			at = have->addr + have->len;
			continue;
		}
		m = maps_at(maps, at);
		if (!m)
			return err_refuse("not-mapped", NULL,
					  "nothing is mapped at 0x%llx",
					  (unsigned long long)at);
		stop = MIN(stop, m->end);
		for (size_t i = 0; i < c->pages.n; i++) // the next prepared one ends it
			if (c->pages.v[i].addr > at) {
				stop = MIN(stop, c->pages.v[i].addr);
				break;
			}
		TRY(note_range(c, m, at, stop, first, n));
		TRY(vec_push(added, (struct commit_span){at, stop - at}));
		at = stop;
	}
	return NULL;
}

static struct err *make_writable(struct commit *c, size_t first, size_t n)
{
	_cleanup_(req_list_deinit) req_list reqs = {0};
	size_t done = 0;

	for (size_t i = first; i < n; i++) {
		const struct commit_range *r = &c->ranges[i];
		struct syscall_req req = {.nr = SYS_mprotect,
					  .args = {r->addr, r->len, r->prot | PROT_WRITE}};

		TRY(vec_push(&reqs, req));
	}
	TRY(helper_syscalls(c->h, reqs.v, reqs.n, &done));
	if (done < reqs.n)
		return err_sys((int)-reqs.v[done].ret,
			       "cannot make %llu bytes at 0x%llx writable in process %d",
			       (unsigned long long)reqs.v[done].args[1],
			       (unsigned long long)reqs.v[done].args[0], c->p->pid);
	return NULL;
}

// A write fault in each page; the list goes behind the `n` ranges, as many at once as fit there.
static struct err *touch(struct commit *c, const span_list *pages, size_t n)
{
	size_t room = c->max_ranges - n;
	uint64_t result;

	if (!room)
		return err_new(ERR_INTERNAL, "no room for more than %zu page ranges",
			       c->max_ranges);
	for (size_t i = 0; i < pages->n;) {
		size_t k = 0;

		for (; k < room && i < pages->n; k++, i++)
			c->ranges[n + k] = (struct commit_range){.addr = pages->v[i].addr,
								 .len = pages->v[i].len};
		TRY(helper_call(c->h, c->area.addr + payload_commit_touch, n | k << 32,
				TOUCH_TIMEOUT_NS, &result));
	}
	return NULL;
}

static struct err *add_pages(struct commit *c, const span_list *added)
{
	TRY(vec_reserve(&c->pages, added->n));
	vec_for_each(s, added)
		c->pages.v[c->pages.n++] = *s;
	return merge_pages(c->pages.v, &c->pages.n);
}

struct err *commit_prepare_ranges(struct commit *c, const struct maps *maps,
				  struct commit_span *spans, size_t n)
{
	_cleanup_(span_list_deinit) span_list added = {0};
	size_t first = c->n_prepared, count = first;
	struct err *e = NULL;

	TRY(merge_pages(spans, &n));
	for (size_t i = 0; i < n; i++)
		TRY(note_span(c, maps, &spans[i], first, &count, &added));
	if (!added.n)
		return NULL;
	TRY(vec_reserve(&c->pages, added.n));
	// The intent is on record before the first change, for a tool that comes later.
	__atomic_store_n(&c->head->n_ranges, (uint32_t)count, __ATOMIC_RELEASE);
	e = fault_point("prepare-intent");
	if (!e)
		e = make_writable(c, first, count);
	if (!e)
		e = touch(c, &added, count);
	if (!e)
		e = fault_point("prepare-done");
	if (!e) {
		c->n_prepared = count;
		return add_pages(c, &added);
	}
	struct maps now;
	struct err *undo = maps_read(c->p->pid, &now);
	if (!undo) {
		undo = commit_unprotect(c->h, &now, c->ranges + first, count - first);
		maps_deinit(&now);
	}
	if (!undo)
		__atomic_store_n(&c->head->n_ranges, (uint32_t)first, __ATOMIC_RELEASE);
	err_free(undo);
	return e;
}

struct err *commit_prepare_range(struct commit *c, const struct maps *maps, taddr_t addr,
				 uint64_t len)
{
	struct commit_span span = {addr, len};

	return commit_prepare_ranges(c, maps, &span, 1);
}

// The parts of a range that still are as molt made them: the program may have unmapped or protected
// others meanwhile.
static struct err *undo_range(const struct maps *maps, const struct commit_range *r,
			      req_list *reqs)
{
	taddr_t at = r->addr, end;

	if (r->prot & PROT_WRITE || __builtin_add_overflow(r->addr, r->len, &end))
		return NULL;
	vec_for_each(m, &maps->v) {
		if (m->end <= at || m->start >= end)
			continue;
		taddr_t lo = MAX(m->start, at), hi = MIN(m->end, end);

		if (!m->shared && m->prot == (int)(r->prot | PROT_WRITE))
			TRY(vec_push(reqs, (struct syscall_req){
						   .nr = SYS_mprotect,
						   .args = {lo, hi - lo, r->prot}}));
	}
	return NULL;
}

struct err *commit_unprotect(struct helper *h, const struct maps *maps,
			     const struct commit_range *ranges, size_t n)
{
	_cleanup_(req_list_deinit) req_list reqs = {0};
	struct err *first = NULL;

	for (size_t i = 0; i < n; i++)
		TRY(undo_range(maps, &ranges[i], &reqs));
	for (size_t at = 0; at < reqs.n;) {
		size_t done = 0;

		TRY(helper_syscalls(h, reqs.v + at, reqs.n - at, &done));
		at += done;
		if (at < reqs.n) {
			if (!first)
				first = err_sys(
					(int)-reqs.v[at].ret,
					"cannot put the protection of 0x%llx back",
					(unsigned long long)reqs.v[at].args[0]);
			at++;
		}
	}
	return first;
}
