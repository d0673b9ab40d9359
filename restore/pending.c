// SPDX-License-Identifier: LGPL-2.1-or-later
// Memory that is still to come; see pending.h.
#include "restore/pending.h"

#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

struct err *pending_add(struct pending_memory *m, const struct pending_run *run)
{
	return vec_push(&m->v, *run);
}

bool pending_empty(const struct pending_memory *m)
{
	return m->first >= m->v.n;
}

// The first run that ends above addr.
static size_t find(const struct pending_memory *m, taddr_t addr)
{
	size_t lo = m->first, hi = m->v.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->v.v[mid].addr + m->v.v[mid].len <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void cut_front(struct pending_run *r, uint64_t by)
{
	r->addr += by;
	r->offset += by;
	r->len -= by;
}

bool pending_at(const struct pending_memory *m, taddr_t addr, struct pending_run *ret)
{
	size_t i = find(m, addr);

	if (i >= m->v.n || m->v.v[i].addr > addr)
		return false;
	*ret = m->v.v[i];
	cut_front(ret, addr - ret->addr);
	return true;
}

struct pending_run pending_next(const struct pending_memory *m)
{
	return m->v.v[m->first];
}

static void take_out(struct pending_memory *m, size_t from, size_t n)
{
	if (from == m->first) {
		m->first += n;
		return;
	}
	memmove(&m->v.v[from], &m->v.v[from + n], (m->v.n - from - n) * sizeof(*m->v.v));
	m->v.n -= n;
}

struct err *pending_drop(struct pending_memory *m, taddr_t addr, uint64_t len)
{
	taddr_t end = addr + len;
	size_t i = find(m, addr), n = 0;

	if (!len || i >= m->v.n)
		return NULL;
	struct pending_run *r = &m->v.v[i];
	if (r->addr < addr && r->addr + r->len > end) { // out of the middle
		struct pending_run rest = *r;

		TRY(vec_push(&m->v, rest));
		r = &m->v.v[i];
		memmove(r + 2, r + 1, (m->v.n - i - 2) * sizeof(*r));
		cut_front(&rest, end - rest.addr);
		r[1] = rest;
		r->len = addr - r->addr;
		return NULL;
	}
	if (r->addr < addr) {
		r->len = addr - r->addr;
		i++;
	}
	while (i + n < m->v.n && m->v.v[i + n].addr + m->v.v[i + n].len <= end)
		n++;
	if (i + n < m->v.n && m->v.v[i + n].addr < end)
		cut_front(&m->v.v[i + n], end - m->v.v[i + n].addr);
	if (n)
		take_out(m, i, n);
	return NULL;
}

static int by_addr(const void *a, const void *b)
{
	const struct pending_run *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

struct err *pending_take(struct pending_memory *m, taddr_t addr, uint64_t len,
			 struct pending_memory *ret)
{
	for (size_t i = find(m, addr); i < m->v.n; i++) {
		struct pending_run r = m->v.v[i];

		if (r.addr >= addr + len)
			break;
		if (r.addr < addr)
			cut_front(&r, addr - r.addr);
		r.len = MIN(r.len, addr + len - r.addr);
		TRY(vec_push(&ret->v, r));
	}
	return pending_drop(m, addr, len);
}

struct err *pending_insert(struct pending_memory *m, const struct pending_memory *runs,
			   uint64_t by)
{
	for (size_t i = runs->first; i < runs->v.n; i++) {
		struct pending_run r = runs->v.v[i];

		r.addr += by;
		TRY(vec_push(&m->v, r));
	}
	if (runs->v.n)
		qsort(m->v.v + m->first, m->v.n - m->first, sizeof(*m->v.v), by_addr);
	return NULL;
}

struct err *pending_copy(const struct pending_memory *m, struct pending_memory *ret)
{
	*ret = (struct pending_memory){};
	for (size_t i = m->first; i < m->v.n; i++)
		TRY(vec_push(&ret->v, m->v.v[i]));
	return NULL;
}

void pending_deinit(struct pending_memory *m)
{
	vec_free(&m->v);
	m->first = 0;
}
