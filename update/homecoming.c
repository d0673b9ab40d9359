// SPDX-License-Identifier: LGPL-2.1-or-later
// Going back into an image that is still mapped; see homecoming.h.
#include "update/homecoming.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "process/memory.h"
#include "util/cleanup.h"

enum {
	PAGE = 4096,
	CHUNK = 65536,
	CHECK_MAX = 64 << 20, // bytes that are compared
	PATCHES_MAX = 1 << 14,
};

static const char what_const[] = "image of an earlier generation";
static const char what_fresh[] = "variable of an earlier generation";

struct span {
	vaddr_t from, to;
	bool fresh; // a variable that begins anew
};

struct homecoming {
	struct plan *p;
	VEC(struct span) checked; // must be as NEW's image says
	VEC(struct span) live;	  // but for these
	VEC(vaddr_t) got;	  // what instructions of NEW read as GOT slots, sorted
};

static vaddr_t page_down(vaddr_t addr)
{
	return addr & ~(vaddr_t)(PAGE - 1);
}

static vaddr_t page_up(vaddr_t addr)
{
	return page_down(addr + PAGE - 1);
}

static int expected_prot(const struct module *m, const struct segment *seg, vaddr_t page)
{
	vaddr_t relro_end = page_down(m->relro_addr + m->relro_size);
	int prot = ((seg->flags & PF_R) ? PROT_READ : 0) |
		   ((seg->flags & PF_W) ? PROT_WRITE : 0) |
		   ((seg->flags & PF_X) ? PROT_EXEC : 0);

	if (m->relro_size && page >= page_down(m->relro_addr) && page < relro_end)
		prot &= ~PROT_WRITE;
	return prot;
}

// Whether all of NEW's segments are mapped at `base` as an update or ld.so left them.
static bool mapped_as_new(const struct plan *p, taddr_t base)
{
	vec_for_each(seg, &p->new->segments) {
		if (seg->type != PT_LOAD)
			continue;
		vaddr_t end = page_up(seg->addr + seg->memsz);
		for (vaddr_t at = page_down(seg->addr); at < end;) {
			const struct mapping *m =
				maps_at(&p->subject->target->maps, base + at);
			vaddr_t relro_end =
				page_down(p->new->relro_addr + p->new->relro_size);

			if (!m || m->shared || m->prot != expected_prot(p->new, seg, at))
				return false;
			vaddr_t next = m->end - base;
			if (at < relro_end && next > relro_end)
				next = relro_end;
			at = next;
		}
	}
	return true;
}

taddr_t homecoming_base(const struct plan *p)
{
	const struct record *r = p->subject->record;
	char id[PROGRAM_ID_MAX];

	program_id(p->new, id);
	for (size_t i = r->images.n; i-- > 0;) {
		const struct record_image *im = &r->images.v[i];

		// The record of a library that ld.so could have mapped there would not be told from another's.
		if (!subject_is_exe(p->subject) &&
		    target_maps_file(p->subject->target, im->base))
			continue;
		if (im->base != subject_base(p->subject) && im->span == p->new->span &&
		    !strcmp(im->build_id, id) && mapped_as_new(p, im->base))
			return im->base;
	}
	return 0;
}

static struct err *unfit(const char *why)
{
	return err_new(ERR_UNSUPPORTED, "the image of before cannot be used: %s", why);
}

static bool inside(const struct plan *p, taddr_t from, taddr_t to)
{
	return from < p->layout.base + p->new->span &&to > p->layout.base;
}

// NEW's functions are known by their place in the image or by one outside of it; never by that of another.
static struct err *check_functions(const struct plan *p)
{
	vec_for_each(c, &p->layout.canonicals)
		if (inside(p, c->entry, c->entry + 1) &&
		    c->entry != p->layout.base + c->addr)
			return unfit("a function is known by another one's place");
	vec_for_each(a, &p->layout.aliases)
		if (inside(p, a->entry, a->entry + 1))
			return unfit("a function has an entry at another one's place");
	return NULL;
}

static struct err *add_span(struct homecoming *h, vaddr_t from, vaddr_t to, bool fresh)
{
	struct span s = {.from = from, .to = to, .fresh = fresh};

	return to > from ? vec_push(&h->checked, s) : NULL;
}

static struct err *add_live(struct homecoming *h, vaddr_t from, vaddr_t to)
{
	struct span s = {.from = from, .to = to};

	return to > from ? vec_push(&h->live, s) : NULL;
}

static struct err *add_variable(struct homecoming *h, uint32_t pair)
{
	struct plan *p = h->p;
	const struct var_pair *vp = &p->diff->vars.v[pair];
	const struct var *v = &p->diff->new_vars.v[vp->new];
	taddr_t home = layout_data(&p->layout, v->addr);
	bool stays = vp->old != NO_TWIN && !p->home_moved[pair];

	if (v->region == REGION_TLS || v->linker)
		return NULL;
	if (stays && home == p->layout.base + v->addr)
		return add_live(h, v->addr, v->addr + v->size);
	if (stays)
		return inside(p, home, home + v->size)
			       ? unfit("a variable lives at another one's place")
			       : NULL;
	if (v->copy_reloc)
		return unfit("a variable of a library is new");
	return region_writable(v->region) ? add_span(h, v->addr, v->addr + v->size, true)
					  : NULL;
}

static struct err *add_variables(struct homecoming *h)
{
	struct plan *p = h->p;

	if (p->moved.n)
		return unfit("a variable moves");
	for (uint32_t i = 0; i < p->diff->vars.n; i++) {
		const struct var_pair *vp = &p->diff->vars.v[i];

		if (vp->new != NO_TWIN) {
			TRY(add_variable(h, i));
			continue;
		}
		const struct var *gone = &p->diff->old_vars.v[vp->old];
		taddr_t home = layout_data(&p->subject->record->layout, gone->addr);
		if (gone->region != REGION_TLS && inside(p, home, home + gone->size))
			return unfit("a variable without a counterpart lives there");
	}
	return NULL;
}

static int by_value(const void *a, const void *b)
{
	vaddr_t x = *(const vaddr_t *)a, y = *(const vaddr_t *)b;

	return x < y ? -1 : x > y;
}

static struct err *collect_got(struct homecoming *h)
{
	vec_for_each(f, &h->p->diff->new_funcs)
		vec_for_each(i, &f->body.insns)
			if (i->ref == REF_GOT)
				TRY(vec_push(&h->got, i->target));
	if (h->got.n)
		qsort(h->got.v, h->got.n, sizeof(*h->got.v), by_value);
	return NULL;
}

// Relocated words of the writable part that belong to no variable: slots, and what compilers keep as initial
// values. Others of that kind are data that live here.
static bool is_slot(const struct homecoming *h, const struct reloc *r)
{
	const struct diff *d = h->p->diff;

	if (r->type != R_X86_64_RELATIVE && r->type != R_X86_64_64)
		return r->type != R_X86_64_NONE && r->type != R_X86_64_COPY;
	if (diff_new_var_at(d, r->addr).inside != NO_TWIN)
		return false;
	return diff_new_is_template(d, r->addr) ||
	       (h->got.n &&
		bsearch(&r->addr, h->got.v, h->got.n, sizeof(*h->got.v), by_value));
}

static struct err *add_slots(struct homecoming *h)
{
	const struct module *m = h->p->new;

	TRY(collect_got(h));
	vec_for_each(r, &m->relocs)
		if (region_writable(module_region(m, r->addr)) && is_slot(h, r))
			TRY(add_span(h, r->addr, r->addr + 8, false));
	return NULL;
}

// The slots of IFUNCs keep what was found when the image was new: a resolver of NEW has a jump at its entry now.
static struct err *keep_ifuncs(struct homecoming *h)
{
	struct plan *p = h->p;
	size_t kept = 0;

	vec_for_each(s, &p->ifuncs) {
		uint64_t now, file;

		if (s->old_slot) {
			p->ifuncs.v[kept++] = *s;
			continue;
		}
		TRY(mem_read(p->subject->process->pid, p->layout.base + s->slot, &now,
			     sizeof(now)));
		if (!now || (module_read(p->new, s->slot, &file, sizeof(file)) &&
			     now == p->layout.base + file))
			return unfit("an indirect function was never bound");
		TRY(add_live(h, s->slot, s->slot + 8));
	}
	p->ifuncs.n = kept;
	return NULL;
}

static struct err *add_constants(struct homecoming *h)
{
	const struct module *m = h->p->new;

	vec_for_each(seg, &m->segments)
		if (seg->type == PT_LOAD && !(seg->flags & PF_W))
			TRY(add_span(h, seg->addr, seg->addr + seg->filesz, false));
	TRY(add_span(h, m->relro_addr, page_down(m->relro_addr + m->relro_size), false));
	// ld.so relocated it in place when the image was new.
	return add_live(h, m->dynamic, m->dynamic + m->dynamic_size);
}

static int by_from(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

// Sorted, and without overlaps; false when it is too much or outside of NEW.
static bool settle(struct homecoming *h)
{
	uint64_t sum = 0;
	size_t n = 0;

	if (h->live.n)
		qsort(h->live.v, h->live.n, sizeof(*h->live.v), by_from);
	if (h->checked.n)
		qsort(h->checked.v, h->checked.n, sizeof(*h->checked.v), by_from);
	vec_for_each(s, &h->checked) {
		vaddr_t end = n ? h->checked.v[n - 1].to : 0;

		if (s->to > h->p->new->span)
			return false;
		if (s->from < end)
			s->from = end;
		if (s->to <= s->from)
			continue;
		sum += s->to - s->from;
		h->checked.v[n++] = *s;
	}
	h->checked.n = n;
	// Ends ascend too, so that the last one that begins below an address tells.
	for (size_t i = 1; i < h->live.n; i++)
		if (h->live.v[i].to < h->live.v[i - 1].to)
			h->live.v[i].to = h->live.v[i - 1].to;
	return sum <= CHECK_MAX;
}

static bool is_live(const struct homecoming *h, vaddr_t addr)
{
	size_t lo = 0, hi = h->live.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (h->live.v[mid].from <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && addr < h->live.v[lo - 1].to;
}

static struct err *add_patch(struct homecoming *h, const struct span *s, vaddr_t from,
			     vaddr_t to, const uint8_t *now)
{
	struct plan *p = h->p;

	if (p->patches.n >= PATCHES_MAX)
		return unfit("too much differs");
	return plan_patch(p, p->layout.base + from, now, p->image + from, to - from,
			  s->fresh ? what_fresh : what_const);
}

// Compares [at, at + len), whose bytes in the process are `now`: a patch for each word that has a difference.
static struct err *compare(struct homecoming *h, const struct span *s, vaddr_t at,
			   const uint8_t *now, size_t len)
{
	const uint8_t *want = h->p->image + at;

	if (!memcmp(now, want, len))
		return NULL;
	for (size_t i = 0; i < len;) {
		size_t end = i + 1, last;

		if (now[i] == want[i] || is_live(h, at + i)) {
			i++;
			continue;
		}
		last = end;
		while (end < len && (at + end) % PATCH_MAX && !is_live(h, at + end)) {
			last = now[end] != want[end] ? end + 1 : last;
			end++;
		}
		TRY(add_patch(h, s, at + i, at + last, now + i));
		i = end;
	}
	return NULL;
}

static struct err *compare_span(struct homecoming *h, const struct span *s)
{
	_cleanup_free_ uint8_t *now = malloc(CHUNK);

	if (!now)
		return err_nomem();
	for (vaddr_t at = s->from; at < s->to;) {
		size_t len = s->to - at < CHUNK ? s->to - at : CHUNK;

		TRY(mem_read(h->p->subject->process->pid, h->p->layout.base + at, now,
			     len));
		TRY(compare(h, s, at, now, len));
		at += len;
	}
	return NULL;
}

static struct err *make_patches(struct homecoming *h)
{
	TRY(check_functions(h->p));
	TRY(add_variables(h));
	TRY(add_slots(h));
	TRY(keep_ifuncs(h));
	TRY(add_constants(h));
	if (!settle(h))
		return unfit("too much is to be compared");
	vec_for_each(s, &h->checked)
		TRY(compare_span(h, s));
	return NULL;
}

struct err *homecoming_patches(struct plan *p)
{
	struct homecoming h = {.p = p};
	struct err *e = p->comes_home ? make_patches(&h) : NULL;

	vec_free(&h.checked);
	vec_free(&h.live);
	vec_free(&h.got);
	return e;
}

bool homecoming_refresh(struct patch *patch, const uint8_t *now)
{
	if (strcmp(patch->what, what_fresh))
		return false;
	memcpy(patch->old_bytes, now, patch->len);
	return true;
}
