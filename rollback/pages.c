// SPDX-License-Identifier: LGPL-2.1-or-later
// Memory: which pages differ from the saved ones, and the calls that put those back.
//
// Comparing takes longer than anything else, so that it is done while the process runs: pages found equal that were not
// written since (tracker.h) need no second look in the stop.
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rollback/impl.h"

enum { PAGE = 4096, PIECE = 1 << 20, UAPI_MADV_DONTNEED_LOCKED = 24 }; // 5.18

static const uint64_t FREEZE_NS = 5000000000;

struct walk {
	struct rollback *rb;
	const struct saved_map *s;
	const struct vma *now;
	bool early; // nothing is put back: equal pages are noted
	bool made_writable;
	taddr_t from, to;
	uint8_t *saved, *present;
};

static struct err *read_now(const struct rollback *rb, taddr_t addr, uint8_t *buf,
			    size_t len)
{
	ssize_t n = pread(rb->mem, buf, len, (off_t)addr);

	if (n == (ssize_t)len)
		return NULL;
	return err_sys(n < 0 ? errno : EIO, "cannot read the memory at 0x%" PRIx64, addr);
}

// Pages of a file mapping behind its end and the like: what cannot be read was not saved either.
static bool readable(const struct rollback *rb, taddr_t addr, uint8_t *buf, size_t len)
{
	return pread(rb->mem, buf, len, (off_t)addr) == (ssize_t)len;
}

static struct err *open_for_writing(struct walk *w)
{
	if (w->made_writable || w->now->m->prot & PROT_WRITE)
		return NULL;
	w->made_writable = true;
	return ADD(&w->rb->calls, "make memory writable", SYS_mprotect, w->from,
		   w->to - w->from, (uint64_t)(w->now->m->prot | PROT_READ | PROT_WRITE));
}

// One copy goes on where the last one ended, here and there.
static struct err *add_copy(struct walk *w, taddr_t to, taddr_t from, size_t len)
{
	struct calls *c = &w->rb->calls;

	TRY(open_for_writing(w));
	w->rb->ret->bytes += len;
	struct syscall_req *last = c->v.n ? &c->v.v[c->v.n - 1] : NULL;
	if (last && last->nr == ASK_COPY && last->args[0] + last->args[2] == to &&
	    last->args[1] + last->args[2] == from) {
		last->args[2] += len;
		return NULL;
	}
	return ADD(c, "copy memory", ASK_COPY, to, from, len);
}

static struct err *note_staged(struct rollback *rb, taddr_t addr, taddr_t at)
{
	struct staged *last = rb->staged.n ? &rb->staged.v[rb->staged.n - 1] : NULL;

	if (last && last->addr + last->len == addr && last->at + last->len == at) {
		last->len += PAGE;
		return NULL;
	}
	return vec_push(&rb->staged, (struct staged){addr, at, PAGE});
}

static struct err *judge_page(struct walk *w, taddr_t addr, const uint8_t *saved,
			      const uint8_t *now)
{
	taddr_t at;

	if (!memcmp(saved, now, PAGE))
		return w->early ? ranges_append(&w->rb->equal, addr, PAGE) : NULL;
	TRY(stage_put(w->rb, saved, PAGE, &at));
	return w->early ? note_staged(w->rb, addr, at) : add_copy(w, addr, at, PAGE);
}

// Where `addr` is in a staged range: that one; else NULL and *next is where the next one begins.
static const struct staged *staged_at(const struct walk *w, taddr_t addr, taddr_t *next)
{
	size_t lo = 0;

	for (size_t hi = w->rb->staged.n; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;

		if (w->rb->staged.v[mid].addr + w->rb->staged.v[mid].len <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	const struct staged *s = lo < w->rb->staged.n ? &w->rb->staged.v[lo] : NULL;
	*next = s ? s->addr : UINT64_MAX;
	return s && s->addr <= addr ? s : NULL;
}

// Where `addr` is in a range of pages known to be equal: its end; else 0 and *next is where the next one begins.
static taddr_t equal_until(const struct walk *w, taddr_t addr, taddr_t *next)
{
	const struct page_ranges *e = &w->rb->equal;
	size_t lo = 0;

	for (size_t hi = e->v.n; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;

		if (e->v.v[mid].addr + e->v.v[mid].len <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	*next = lo < e->v.n ? e->v.v[lo].addr : UINT64_MAX;
	return *next <= addr ? e->v.v[lo].addr + e->v.v[lo].len : 0;
}

static struct err *compare_piece(struct walk *w, taddr_t addr, size_t len, bool zero)
{
	struct rollback *rb = w->rb;

	if (zero)
		memset(w->saved, 0, len);
	else
		TRY(core_read_memory(rb->core, addr, w->saved, len));
	if (w->early ? !readable(rb, addr, w->present, len) : false)
		return NULL; // it goes while we look
	if (!w->early)
		TRY(read_now(rb, addr, w->present, len));
	for (size_t i = 0; i < len; i += PAGE)
		TRY(judge_page(w, addr + i, w->saved + i, w->present + i));
	return NULL;
}

// What is known already, of the page at `at` and those behind it: *end is where that ends, or `at`.
static struct err *use_known(struct walk *w, taddr_t at, taddr_t to, taddr_t *end,
			     taddr_t *next)
{
	taddr_t next_equal, next_staged;
	const struct staged *s = staged_at(w, at, &next_staged);

	*end = at;
	if (s) {
		*end = MIN(to, s->addr + s->len);
		return add_copy(w, at, s->at + (at - s->addr), *end - at);
	}
	taddr_t until = equal_until(w, at, &next_equal);
	*next = MIN(next_equal, next_staged);
	if (until)
		*end = MIN(to, until);
	return NULL;
}

static struct err *compare_range(struct walk *w, taddr_t from, taddr_t to, bool zero)
{
	for (taddr_t at = from; at < to;) {
		taddr_t next = UINT64_MAX, end = at;

		if (!w->early)
			TRY(use_known(w, at, to, &end, &next));
		if (end > at) {
			at = end;
			continue;
		}
		end = MIN(MIN(to, at + PIECE), next);
		TRY(compare_piece(w, at, end - at, zero));
		at = end;
	}
	return NULL;
}

size_t pages_first_run(const struct core *core, taddr_t addr)
{
	const struct page_run *runs;
	size_t n, lo = 0;

	runs = core_runs(core, &n);
	for (size_t hi = n; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;

		if (runs[mid].addr + runs[mid].len <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct err *compare_saved(struct walk *w, taddr_t from, taddr_t to)
{
	size_t n, i = pages_first_run(w->rb->core, from);
	const struct page_run *runs = core_runs(w->rb->core, &n);

	for (; i < n && runs[i].addr < to; i++)
		TRY(compare_range(w, MAX(from, runs[i].addr),
				  MIN(to, runs[i].addr + runs[i].len),
				  runs[i].kind == PAGES_ZERO));
	return NULL;
}

// Pages that were not there when it was saved: zero in anonymous memory, the file's in others.
static struct err *drop_new(struct walk *w, taddr_t from, taddr_t to)
{
	_cleanup_(ranges_deinit) struct page_ranges present = {0}, written = {0},
						    saved = {0}, new = {0};
	size_t n, i = pages_first_run(w->rb->core, from);
	const struct page_run *runs = core_runs(w->rb->core, &n);
	int advice =
		w->now->flags & VMA_LOCKED ? UAPI_MADV_DONTNEED_LOCKED : MADV_DONTNEED;

	for (; i < n && runs[i].addr < to; i++)
		TRY(ranges_append(&saved, runs[i].addr, runs[i].len));
	size_t index = (size_t)(w->now - w->rb->vmas.v.v);
	if (index < w->rb->present.n) // looked up before
		TRY(ranges_minus(&w->rb->present.v[index], &saved, &new));
	else {
		TRY(pagemap_scan(&w->rb->pagemap, w->now, SCAN_ALL, &present, &written));
		TRY(ranges_minus(&present, &saved, &new));
	}
	vec_for_each(r, &new.v) {
		taddr_t a = MAX(from, r->addr), b = MIN(to, r->addr + r->len);

		if (a < b)
			TRY(ADD(&w->rb->calls, "drop new pages", SYS_madvise, a, b - a,
				(uint64_t)advice));
	}
	return NULL;
}

static struct err *begin(struct walk *w)
{
	w->saved = malloc(PIECE);
	w->present = malloc(PIECE);
	return w->saved && w->present ? NULL : err_nomem();
}

static void end(struct walk *w)
{
	free(w->saved);
	free(w->present);
}

// Shared memory: the object says which parts of it are where in which core; others are zero.
static struct err *compare_shared(struct walk *w, taddr_t from, taddr_t to)
{
	const json_t *object =
		json_array_get(json_object_get(w->rb->objects, "memory"), w->s->memory);
	const json_t *parts = json_object_get(object, "pages_in");
	uint64_t base = w->s->offset + (from - w->s->start), len = to - from;
	pid_t self = w->rb->p->pid;

	for (size_t i = 0; i < json_array_size(parts); i++) {
		const json_t *part = json_array_get(parts, i);
		uint64_t off, size;
		taddr_t start;
		pid_t pid;

		TRY(json_get_pid(part, "pid", &pid));
		TRY(json_get_addr(part, "start", &start));
		TRY(json_get_u64(part, "len", INT64_MAX, &size));
		TRY(json_get_u64(part, "offset", INT64_MAX - JSON_ADDR_MAX, &off));
		if (size % PAGE || off % PAGE || start % PAGE)
			return err_new(ERR_CORRUPT, "pages_in is not made of pages");
		uint64_t a = MAX(base, off), b = MIN(base + len, off + size);
		if (pid != self || a >= b)
			continue;
		for (uint64_t at = a; at < b;) {
			size_t n = MIN(b - at, (uint64_t)PIECE);

			TRY(core_read_memory(w->rb->core, start + (at - off), w->saved, n));
			TRY(read_now(w->rb, from + (at - base), w->present, n));
			for (size_t k = 0; k < n; k += PAGE)
				TRY(judge_page(w, from + (at - base) + k, w->saved + k,
					       w->present + k));
			at += n;
		}
	}
	return NULL;
}

struct err *pages_put_back(struct rollback *rb, const struct saved_map *s,
			   const struct vma *now, taddr_t from, taddr_t to, bool *opened)
{
	struct walk w = {.rb = rb, .s = s, .now = now, .from = from, .to = to};
	struct err *e = begin(&w);

	if (e) {
		end(&w);
		return e;
	}
	if (map_is_private(s)) {
		e = drop_new(&w, from, to);
		if (!e)
			e = compare_saved(&w, from, to);
	} else if (s->kind == SPACE_MEMORY && s->prot & PROT_WRITE) {
		e = compare_shared(&w, from, to);
	}
	*opened = w.made_writable && !(now->m->prot & PROT_WRITE);
	end(&w);
	return e;
}

bool pages_may_track(const struct vma *v)
{
	return !v->m->shared && (v->kind == VMA_ANON || v->kind == VMA_FILE) &&
	       v->content != CONTENT_NONE && !(v->flags & VMA_HUGETLB);
}

static struct err *compare_early(struct rollback *rb, const struct vma *v)
{
	_cleanup_(ranges_deinit) struct page_ranges present = {0}, written = {0};
	struct walk w = {.rb = rb, .now = v, .early = true};

	if (!pages_may_track(v))
		return NULL;
	// Armed first: what is written while we look is told later.
	struct err *e = pagemap_scan(&rb->pagemap, v, SCAN_REARM, &present, &written);
	if (e) { // not registered, or it goes while we look: compared in the stop
		err_free(e);
		return NULL;
	}
	e = begin(&w);
	if (!e)
		e = compare_saved(&w, v->m->start, v->m->end);
	end(&w);
	return e;
}

static struct err *register_all(struct rollback *rb)
{
	_cleanup_(maps_deinit) struct maps maps = {0};

	TRY(maps_read(rb->p->pid, &maps));
	vec_for_each(m, &maps.v)
		if (!m->shared && !vma_is_molts(m) && strncmp(m->path, "[v", 2) != 0)
			tracker_register(rb->tracker, m);
	return NULL;
}

// In a short stop: a range that does not fit what is mapped by then would cut a mapping in two, which mremap sees.
static struct err *begin_tracking(struct rollback *rb)
{
	struct err *e = tracker_create(rb->p, rb->h, &rb->tracker);

	if (e) { // it is compared in the stop, then
		err_free(e);
		return NULL;
	}
	TRY(process_freeze(rb->p, monotonic_ns() + FREEZE_NS, NULL));
	e = register_all(rb);
	return err_first(e, process_thaw(rb->p, NULL));
}

struct err *pages_compare_early(struct rollback *rb)
{
	if (!rb->pagemap.old)
		TRY(begin_tracking(rb));
	if (!rb->tracker)
		return NULL;
	TRY(vmas_read(rb->p->pid, true, &rb->vmas));
	vec_for_each(v, &rb->vmas.v)
		TRY(compare_early(rb, v));
	vec_for_each(s, &rb->staged)
		tracker_leave(rb->tracker, s->addr, s->len);
	return NULL;
}
