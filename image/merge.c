// SPDX-License-Identifier: LGPL-2.1-or-later
// One full core out of a chain of incremental ones.
#include "image/impl.h"
#include "util/cleanup.h"

enum { CHUNK = 1 << 20 };

static struct err *copy_bytes(struct core_writer *w, const struct core *from,
			      const struct page_run *r, uint64_t to, char *buf)
{
	for (uint64_t done = 0; done < r->len;) {
		size_t part = r->len - done < CHUNK ? (size_t)(r->len - done) : CHUNK;

		TRY(read_all(core_fd(from), core_name(from), buf, part, r->offset + done));
		TRY(write_all(core_writer_fd(w), "the core", buf, part, to + done));
		done += part;
	}
	return NULL;
}

// The first run that ends above addr.
static size_t first_above(const struct page_run *v, size_t n, taddr_t addr)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (v[mid].addr + v[mid].len <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

// What [addr, end) is, in pieces that may come from several cores; chains are bounded by open_core_chain.
static struct err *merge_range(struct core_writer *w, const struct core *c, taddr_t addr,
			       taddr_t end, char *buf)
{
	size_t n = 0;
	const struct page_run *v = c ? core_runs(c, &n) : NULL;

	for (size_t i = first_above(v, n, addr); i < n && v[i].addr < end; i++) {
		struct page_run r = v[i];
		uint64_t skip = r.addr < addr ? addr - r.addr : 0;

		r.addr += skip;
		r.len -= skip;
		r.offset += skip;
		if (r.len > end - r.addr)
			r.len = end - r.addr;
		if (r.kind == PAGES_PARENT) {
			TRY(merge_range(w, core_parent(c), r.addr, r.addr + r.len, buf));
			continue;
		}
		if (r.kind == PAGES_DATA) {
			uint64_t to = core_reserve(w, r.len);

			TRY(copy_bytes(w, c, &r, to, buf));
			r.offset = to;
		}
		TRY(core_add_run(w, &r));
	}
	return NULL;
}

struct err *core_merge(const struct core *c, struct core_writer *w)
{
	_cleanup_free_ char *buf = malloc(CHUNK);
	json_t *entry = NULL;

	if (!buf)
		return err_nomem();
	TRY(merge_range(w, c, 0, UINT64_MAX, buf));
	TRY(core_finish(w, core_state(c), core_objects(c), &entry));
	json_decref(entry);
	return NULL;
}
