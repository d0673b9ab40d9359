// SPDX-License-Identifier: LGPL-2.1-or-later
// Compares initial data and what it points to. A cycle of pointers counts as equal while it is open.
#include <stdlib.h>
#include <string.h>

#include "diff/decode.h"
#include "diff/private.h"

enum {
	MAX_DEPTH = 48, // beyond it "different": the safe answer
	MAX_STRING = 1 << 16,
};

void comparer_deinit(struct comparer *c)
{
	vec_free(&c->memo);
	vec_free(&c->trail);
}

static size_t memo_slot(const struct comparer *c, vaddr_t old, vaddr_t new, uint64_t size)
{
	size_t mask = c->memo.n - 1, i = hash_mix(hash_mix(old, new), size) & mask;

	while (c->memo.v[i].old && (c->memo.v[i].old != old || c->memo.v[i].new != new ||
				    c->memo.v[i].size != size))
		i = (i + 1) & mask;
	return i;
}

static bool memo_grow(struct comparer *c)
{
	struct comparer bigger = {0};
	size_t n = c->memo.n ? c->memo.n * 2 : 1024;

	// Slots on the trail would move: it only grows between two outermost comparisons.
	if (c->depth || (c->memo.n && c->used * 2 < c->memo.n))
		return c->used + 1 < c->memo.n;
	bigger.memo.v = calloc(n, sizeof(*bigger.memo.v));
	if (!bigger.memo.v)
		return false;
	bigger.memo.n = bigger.memo.cap = n;
	for (size_t i = 0; i < c->memo.n; i++) {
		const struct memo *m = &c->memo.v[i];

		if (m->old)
			bigger.memo.v[memo_slot(&bigger, m->old, m->new, m->size)] = *m;
	}
	free(c->memo.v);
	c->memo.v = bigger.memo.v;
	c->memo.n = c->memo.cap = n;
	return true;
}

bool code_equal(struct comparer *c, vaddr_t old, vaddr_t new)
{
	uint32_t fo = side_func_at(c->old, old), fn = side_func_at(c->new, new);
	vaddr_t so, sn;

	if (fo == NO_TWIN || fn == NO_TWIN) {
		const struct reloc *ro, *rn;

		if (fo != fn || !plt_entry_slot(c->old->m, old, &so) ||
		    !plt_entry_slot(c->new->m, new, &sn))
			return false;
		ro = module_reloc_at(c->old->m, so);
		rn = module_reloc_at(c->new->m, sn);
		return ro && rn && ro->name && rn->name && !strcmp(ro->name, rn->name);
	}
	if (c->old->pair_of_func[fo] != fn)
		return false;
	const struct func *o = &c->old->funcs[fo], *n = &c->new->funcs[fn];
	if (old == o->addr || new == n->addr)
		return old == o->addr && new == n->addr;
	// A label inside: the same instruction of bodies that are alike so far as one can tell cheaply.
	uint32_t i = body_index(&o->body, old);
	if (i == UINT32_MAX || i != body_index(&n->body, new) ||
	    o->body.insns.n != n->body.insns.n)
		return false;
	for (size_t k = 0; k < o->body.insns.n; k++) {
		if (o->body.insns.v[k].hash_noimm != n->body.insns.v[k].hash_noimm)
			return false;
	}
	return true;
}

const char *string_at(const struct side *s, vaddr_t addr)
{
	uint64_t max = MAX_STRING;
	const uint8_t *p = module_bytes(s->m, addr, 1), *end;

	while (max > 1 && !module_bytes(s->m, addr, max))
		max /= 2;
	end = p ? memchr(p, 0, max) : NULL;
	if (!end)
		return NULL;
	for (const uint8_t *b = p; b < end; b++) {
		if (*b < 0x20 && *b != '\n' && *b != '\t' && *b != '\r' && *b != 0x1b &&
		    *b != '\a' && *b != '\b' && *b != '\f' && *b != '\v')
			return NULL;
		if (*b == 0x7f)
			return NULL;
	}
	return (const char *)p;
}

static bool all_zero(const uint8_t *p, uint64_t n)
{
	for (uint64_t i = 0; p && i < n; i++) {
		if (p[i])
			return false;
	}
	return true;
}

static const uint8_t *section_of(const struct module *m, vaddr_t addr, uint64_t *size)
{
	vec_for_each(s, &m->alloc_sections) {
		if (addr - s->addr < s->size) {
			*size = s->size;
			return module_bytes(m, s->addr, s->size);
		}
	}
	return NULL;
}

// Do all strings of p[0..n) stand somewhere in the section of `addr` too?
static bool pieces_known(const struct module *m, vaddr_t addr, const uint8_t *p,
			 uint64_t n)
{
	uint64_t size = 0;
	const uint8_t *section = section_of(m, addr, &size);

	if (!section || !n || p[n - 1])
		return false;
	for (uint64_t at = 0; at < n;) {
		uint64_t len = strlen((const char *)p + at);

		if (len && !memmem(section, size, p + at, len + 1))
			return false;
		at += len + 1;
	}
	return true;
}

// What lies behind the NUL of a string up to the next thing referred to: padding, strings that the
// compiler made and did not need in the end ("quit" of an inlined strcmp), which stand in the other
// program too, or the "string" is the start of something larger.
static bool string_tails_equal(const struct comparer *c, vaddr_t old, vaddr_t new,
			       uint64_t len)
{
	vaddr_t eo = side_extent(c->old, old, false), en = side_extent(c->new, new, false);
	uint64_t no = eo > old + len ? eo - old - len : 0,
		 nn = en > new + len ? en - new - len : 0;
	const uint8_t *po = module_bytes(c->old->m, old + len, no);
	const uint8_t *pn = module_bytes(c->new->m, new + len, nn);
	bool zo = all_zero(po, no), zn = all_zero(pn, nn);

	if (zo && zn)
		return true;
	if (no == nn)
		return po && pn && !memcmp(po, pn, no);
	return (zo || (po && pieces_known(c->new->m, new, po, no))) &&
	       (zn || (pn && pieces_known(c->old->m, old, pn, nn)));
}

bool unnamed_equal(struct comparer *c, vaddr_t old, vaddr_t new, unsigned access)
{
	const char *so, *sn;

	if (access)
		return ranges_equal(c, old, new, access);
	so = string_at(c->old, old);
	sn = string_at(c->new, new);
	if (so && sn) {
		if (strcmp(so, sn))
			return false;
		// The empty string is also a zero that starts an object.
		return string_tails_equal(c, old, new, strlen(so) + 1);
	}
	if (so || sn)
		return false;
	vaddr_t eo = side_extent(c->old, old, true), en = side_extent(c->new, new, true);
	uint64_t no = eo - old, nn = en - new, size = no < nn ? no : nn;
	const uint8_t *po = module_bytes(c->old->m, old, no),
		      *pn = module_bytes(c->new->m, new, nn);
	if (no != nn && (!all_zero(po ? po + size : NULL, no - size) ||
			 !all_zero(pn ? pn + size : NULL, nn - size)))
		return false;
	return ranges_equal(c, old, new, size);
}

static bool objects_equal(struct comparer *c, vaddr_t old, vaddr_t new)
{
	struct var_reading ro = side_var_at(c->old, old), rn = side_var_at(c->new, new);
	uint32_t vo = ro.inside, vn = rn.inside;

	if (vo != NO_TWIN && vn != NO_TWIN) {
		const struct var *o = &c->old->vars[vo], *n = &c->new->vars[vn];

		if (c->old->pair_of_var[vo] == vn)
			return old - o->addr == new - n->addr;
		if (c->old->pair_of_var[vo] != NO_TWIN ||
		    c->new->pair_of_var[vn] != NO_TWIN)
			return false;
		return o->is_const && n->is_const && o->size == n->size &&
		       old - o->addr ==
			       new - n->addr &&ranges_equal(c, o->addr, n->addr, o->size);
	}
	if (vo != vn)
		return false;
	// One past the end of an object, and nothing begins there.
	if (ro.end_of != NO_TWIN || rn.end_of != NO_TWIN) {
		if (ro.end_of != NO_TWIN && rn.end_of != NO_TWIN &&
		    c->old->pair_of_var[ro.end_of] == rn.end_of &&
		    module_region(c->old->m, old) != REGION_RODATA)
			return true;
	}
	enum region a = module_region(c->old->m, old), b = module_region(c->new->m, new);
	if ((a != REGION_RODATA && a != REGION_RELRO) || a != b)
		return false;
	return unnamed_equal(c, old, new, 0);
}

bool pointers_equal(struct comparer *c, vaddr_t old, vaddr_t new)
{
	bool text = module_region(c->old->m, old) == REGION_TEXT;

	if (text != (module_region(c->new->m, new) == REGION_TEXT))
		return false;
	return text ? code_equal(c, old, new) : objects_equal(c, old, new);
}

static bool relocs_equal(struct comparer *c, const struct reloc *o, const struct reloc *n)
{
	if (o->type != n->type)
		return false;
	if (o->type == R_X86_64_RELATIVE || o->type == R_X86_64_IRELATIVE)
		return pointers_equal(c, (vaddr_t)o->addend, (vaddr_t)n->addend);
	if (!o->name || !n->name)
		return o->name == n->name && o->addend == n->addend;
	if (strcmp(o->name, n->name) || o->addend != n->addend)
		return false;
	return !o->version == !n->version &&
	       (!o->version || !strcmp(o->version, n->version));
}

// Bytes of [addr, addr + n) that the file has; those behind are zero.
static uint64_t backed(const struct module *m, vaddr_t addr, uint64_t n)
{
	vec_for_each(s, &m->segments) {
		uint64_t at = addr - s->addr;

		if (s->type == PT_LOAD && addr >= s->addr && at < s->memsz) {
			uint64_t have = at < s->filesz ? s->filesz - at : 0;

			return have < n ? have : n;
		}
	}
	return 0;
}

static bool bytes_differ(const struct module *mo, const struct module *mn, vaddr_t old,
			 vaddr_t new, uint64_t n)
{
	uint64_t ho = backed(mo, old, n), hn = backed(mn, new, n),
		 both = ho < hn ? ho : hn;
	const uint8_t *po = module_bytes(mo, old, ho), *pn = module_bytes(mn, new, hn);

	if ((both && (!po || !pn)) || (both && memcmp(po, pn, both)))
		return true;
	// Where one has bytes and the other .bss, they are equal if zero.
	return !all_zero(po ? po + both : NULL, ho - both) ||
	       !all_zero(pn ? pn + both : NULL, hn - both);
}

// A program linked to fixed addresses has pointers without relocations: a word that can be one is one.
static bool compare_fixed(struct comparer *c, vaddr_t old, vaddr_t new, uint64_t size)
{
	const struct module *mo = c->old->m, *mn = c->new->m;

	for (uint64_t at = 0; at < size;) {
		uint64_t k = 8 - ((old + at) & 7), a = 0, b = 0;

		if (k > size - at)
			k = size - at;
		if (!module_read(mo, old + at, &a, k) || !module_read(mn, new + at, &b, k))
			return false;
		bool pointers = k == 8 && is_absolute(mo, a) && is_absolute(mn, b);
		if (pointers ? !pointers_equal(c, a, b) : a != b)
			return false;
		at += k;
	}
	return true;
}

static bool compare_range(struct comparer *c, vaddr_t old, vaddr_t new, uint64_t size)
{
	const struct module *mo = c->old->m, *mn = c->new->m;
	size_t i = module_reloc_lower_bound(mo, old),
	       k = module_reloc_lower_bound(mn, new);
	uint64_t at = 0;

	for (;; i++, k++) {
		const struct reloc *o = i < mo->relocs.n ? &mo->relocs.v[i] : NULL;
		const struct reloc *n = k < mn->relocs.n ? &mn->relocs.v[k] : NULL;
		uint64_t ao = o && o->addr - old < size ? o->addr - old : size;
		uint64_t an = n && n->addr - new < size ? n->addr - new : size;

		if (ao != an ||
		    (ao > at && bytes_differ(mo, mn, old + at, new + at, ao - at)))
			return false;
		if (ao == size)
			return true;
		if (!relocs_equal(c, o, n))
			return false;
		at = ao + 8 < size ? ao + 8 : size;
	}
}

bool ranges_equal(struct comparer *c, vaddr_t old, vaddr_t new, uint64_t size)
{
	bool equal;

	if (!size)
		return true;
	if (c->depth >= MAX_DEPTH || !memo_grow(c))
		return false;
	size_t slot = memo_slot(c, old, new, size);
	if (c->memo.v[slot].old && c->memo.v[slot].state != MEMO_UNKNOWN)
		return c->memo.v[slot].state == MEMO_EQUAL;
	if (!c->depth)
		c->trail.n = 0;
	size_t from = c->trail.n;
	struct err *e = vec_push(&c->trail, slot);
	if (e) {
		err_free(e);
		return false;
	}
	c->used += !c->memo.v[slot].old;
	c->memo.v[slot] = (struct memo){old, new, size, MEMO_EQUAL};
	c->depth++;
	if (c->old->m->type == ET_EXEC && c->new->m->type == ET_EXEC)
		equal = compare_fixed(c, old, new, size);
	else
		equal = compare_range(c, old, new, size);
	c->depth--;
	if (equal)
		return true;
	// What was found equal below may have relied on this pair while it was open.
	for (size_t i = from; i < c->trail.n; i++)
		c->memo.v[c->trail.v[i]].state = MEMO_UNKNOWN;
	c->trail.n = from;
	c->memo.v[slot].state = MEMO_DIFFERENT;
	return false;
}

uint64_t content_hash(const struct side *s, const struct insn *in)
{
	uint64_t h = in->access;

	if (in->access) {
		const uint8_t *p = module_bytes(s->m, in->target, in->access);

		for (unsigned i = 0; p && i < in->access; i++)
			h = hash_mix(h, p[i]);
		return h;
	}
	for (const char *p = string_at(s, in->target); p && *p; p++)
		h = hash_mix(h, (uint8_t)*p);
	return h;
}
