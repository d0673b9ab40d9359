// SPDX-License-Identifier: LGPL-2.1-or-later
// Tells ld.so (and with it C++ exceptions, dladdr, gdb) where a module is now.
//
// The words of the module's link_map are found by value, not by glibc's offsets: base, dynamic section,
// program headers, entry, ends, l_info[] by tag, the GNU hash table. docs/design.md, "ld.so bookkeeping".
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "process/memory.h"
#include "update/ldso.h"
#include "util/cleanup.h"

enum {
	LINK_MAP_SCAN = 0x4a0, // struct link_map of glibc 2.28..2.39 is 0x470..0x498 bytes
	DYNAMIC_MAX = 4096 / sizeof(Elf64_Dyn) * 4,
};

// An address range of the old program and where its counterpart is.
struct moved_word {
	taddr_t old, new;
	const char *what;
};

struct ldso {
	struct plan *p;
	taddr_t old_base, new_base;
	VEC(struct moved_word) words;
};

vaddr_t module_end(const struct module *m, uint32_t flags)
{
	vaddr_t end = 0;

	vec_for_each(seg, &m->segments)
		if (seg->type == PT_LOAD && (seg->flags & flags) == flags &&
		    seg->addr + seg->memsz > end)
			end = seg->addr + seg->memsz;
	return end;
}

vaddr_t module_eh_frame_hdr(const struct module *m)
{
	vec_for_each(seg, &m->segments)
		if (seg->type == PT_GNU_EH_FRAME)
			return seg->addr;
	return 0;
}

static struct err *add_word(struct ldso *l, taddr_t old, taddr_t new, const char *what)
{
	struct moved_word w = {.old = old, .new = new, .what = what};

	return vec_push(&l->words, w);
}

static vaddr_t phdr_vaddr(const struct module *m)
{
	vec_for_each(seg, &m->segments)
		if (seg->type == PT_PHDR)
			return seg->addr;
	return sizeof(Elf64_Ehdr);
}

// Entries of the dynamic section: l_info[tag] points to the entry of that tag.
static struct err *add_dynamic(struct ldso *l)
{
	const struct module *old = l->p->subject->old, *new = l->p->new;

	for (size_t i = 0; i < DYNAMIC_MAX; i++) {
		vaddr_t at = old->dynamic + i * sizeof(Elf64_Dyn);
		Elf64_Dyn od, nd;

		if (!module_read(old, at, &od, sizeof(od)) || od.d_tag == DT_NULL)
			break;
		for (size_t j = 0; j < DYNAMIC_MAX; j++) {
			vaddr_t to = new->dynamic + j * sizeof(Elf64_Dyn);

			if (!module_read(new, to, &nd, sizeof(nd)) || nd.d_tag == DT_NULL)
				break;
			if (nd.d_tag != od.d_tag)
				continue;
			TRY(add_word(l, l->old_base + at, l->new_base + to, "l_info"));
			break;
		}
	}
	return add_word(l, l->old_base + old->dynamic, l->new_base + new->dynamic, "l_ld");
}

struct gnu_hash {
	uint32_t nbuckets, symbias, maskwords, shift;
	vaddr_t bitmask, buckets, chain_zero;
};

static bool gnu_hash_read(const struct module *m, struct gnu_hash *ret)
{
	uint64_t at;

	if (!module_dynamic(m, DT_GNU_HASH, &at) || !module_read(m, at, ret, 16))
		return false;
	ret->bitmask = at + 16;
	ret->buckets = ret->bitmask + (uint64_t)ret->maskwords * 8;
	ret->chain_zero =
		ret->buckets + (uint64_t)ret->nbuckets * 4 - (uint64_t)ret->symbias * 4;
	return true;
}

static struct err *add_known(struct ldso *l)
{
	const struct module *old = l->p->subject->old, *new = l->p->new;
	uint64_t ov, nv;
	struct gnu_hash oh, nh;

	TRY(add_word(l, l->old_base + phdr_vaddr(old), l->new_base + phdr_vaddr(new),
		     "l_phdr"));
	TRY(add_word(l, l->old_base + old->entry, l->new_base + new->entry, "l_entry"));
	TRY(add_word(l, l->old_base + module_end(old, 0),
		     l->new_base + module_end(new, 0), "l_map_end"));
	TRY(add_word(l, l->old_base + module_end(old, PF_X),
		     l->new_base + module_end(new, PF_X), "l_text_end"));
	if (old->tls_memsz) // what new threads copy
		TRY(add_word(l, l->old_base + old->tls_addr, l->new_base + new->tls_addr,
			     "l_tls_initimage"));
	if (module_dynamic(old, DT_VERSYM, &ov) != module_dynamic(new, DT_VERSYM, &nv) ||
	    gnu_hash_read(old, &oh) != gnu_hash_read(new, &nh))
		return err_refuse(
			"ldso-unknown", new->path,
			"%s and %s do not have the same kinds of symbol tables for "
			"ld.so",
			old->path, new->path);
	if (module_dynamic(old, DT_VERSYM, &ov) && module_dynamic(new, DT_VERSYM, &nv))
		TRY(add_word(l, l->old_base + ov, l->new_base + nv, "l_versyms"));
	return add_dynamic(l);
}

static const struct moved_word *find_word(const struct ldso *l, uint64_t value)
{
	vec_for_each(w, &l->words)
		if (w->old == value)
			return w;
	return NULL;
}

static struct err *patch_word(struct ldso *l, taddr_t at, uint64_t old, uint64_t new,
			      const char *what)
{
	return old == new ? NULL : plan_patch(l->p, at, &old, &new, 8, what);
}

// The hash table: l_gnu_bitmask, l_gnu_buckets, l_gnu_chain_zero stand in a row, and right before them its sizes as
// three 32-bit words. Only the row is telling: the addresses may be equal. *at: where it begins.
static struct err *patch_hash(struct ldso *l, taddr_t map, const uint8_t *bytes,
			      size_t *at)
{
	struct gnu_hash oh, nh;

	*at = LINK_MAP_SCAN;
	if (!gnu_hash_read(l->p->subject->old, &oh) || !gnu_hash_read(l->p->new, &nh))
		return NULL;
	const uint32_t was[3] = {oh.nbuckets, oh.maskwords - 1, oh.shift};
	const uint32_t want[3] = {nh.nbuckets, nh.maskwords - 1, nh.shift};
	const taddr_t from[3] = {l->old_base + oh.bitmask, l->old_base + oh.buckets,
				 l->old_base + oh.chain_zero};
	const taddr_t to[3] = {l->new_base + nh.bitmask, l->new_base + nh.buckets,
			       l->new_base + nh.chain_zero};
	for (size_t i = 16; i + sizeof(from) <= LINK_MAP_SCAN; i += 8)
		for (size_t back = 12; back <= 16; back += 4) {
			if (memcmp(bytes + i, from, sizeof(from)) ||
			    memcmp(bytes + i - back, was, sizeof(was)))
				continue;
			*at = i;
			for (size_t k = 0; k < 3; k++) {
				if (was[k] != want[k])
					TRY(plan_patch(l->p, map + i - back + k * 4,
						       &was[k], &want[k], 4, "gnu hash"));
				TRY(patch_word(l, map + i + k * 8, from[k], to[k],
					       "gnu hash"));
			}
			return NULL;
		}
	return err_with(err_new(ERR_UNSUPPORTED,
				"the hash table of ld.so's link_map was not found"),
			"ldso-unknown", "link_map");
}

// l_phnum and l_ldnum, two 16-bit numbers, stand behind l_phdr and l_entry.
static struct err *patch_counts(struct ldso *l, taddr_t map, const uint8_t *bytes,
				size_t phdr_at)
{
	const struct module *old = l->p->subject->old, *new = l->p->new;
	const uint16_t was[2] = {(uint16_t)old->segments.n,
				 (uint16_t)(old->dynamic_size / sizeof(Elf64_Dyn))};
	const uint16_t want[2] = {(uint16_t) new->segments.n,
				  (uint16_t)(new->dynamic_size / sizeof(Elf64_Dyn))};
	size_t at = phdr_at + 16;
	uint16_t now[2];

	if (at + sizeof(now) > LINK_MAP_SCAN)
		return NULL;
	memcpy(now, bytes + at, sizeof(now));
	if (now[0] != was[0])
		return err_with(err_new(ERR_UNSUPPORTED,
					"the number of program headers was not found in "
					"ld.so's link_map"),
				"ldso-unknown", "link_map");
	for (size_t i = 0; i < 2; i++)
		if (now[i] == was[i] && was[i] != want[i])
			TRY(plan_patch(l->p, map + at + i * 2, &was[i], &want[i], 2,
				       "link_map counts"));
	return NULL;
}

static struct err *patch_link_map(struct ldso *l, taddr_t map)
{
	uint8_t bytes[LINK_MAP_SCAN];
	uint64_t first, word;
	size_t hash;

	const taddr_t phdr = l->old_base + phdr_vaddr(l->p->subject->old);

	TRY(mem_read(l->p->subject->process->pid, map, bytes, sizeof(bytes)));
	memcpy(&first, bytes, sizeof(first));
	if (first != l->old_base)
		return err_with(err_new(ERR_UNSUPPORTED,
					"ld.so's link_map at 0x%lx does not begin "
					"with the load address",
					map),
				"ldso-unknown", "link_map");
	TRY(patch_hash(l, map, bytes, &hash));
	for (size_t at = 0; at + 8 <= sizeof(bytes); at += 8) {
		if (at >= hash && at < hash + 24)
			continue;
		memcpy(&word, bytes + at, sizeof(word));
		// The first page's address is the base (l_addr, l_map_start).
		if (word == l->old_base) {
			TRY(patch_word(l, map + at, word, l->new_base, "link_map base"));
			continue;
		}
		const struct moved_word *w = at == offsetof(struct link_map, l_ld)
						     ? &l->words.v[l->words.n - 1]
						     : find_word(l, word);
		if (!w || w->old != word)
			continue;
		TRY(patch_word(l, map + at, word, w->new, w->what));
		if (word == phdr)
			TRY(patch_counts(l, map, bytes, at));
	}
	return NULL;
}

// _dlfo_main {map start, map end, link_map, eh_frame_hdr} in ld.so: without it C++ does not unwind. Found
// by its four values, and so is each other word of ld.so that is the program headers' address.
static struct err *patch_ldso_mapping(struct ldso *l, taddr_t map, const struct mapping *m)
{
	size_t size = m->end - m->start;
	_cleanup_free_ uint64_t *words = malloc(size);
	taddr_t phdr = l->old_base + phdr_vaddr(l->p->subject->old);
	const uint64_t eh[2] = {l->old_base + module_eh_frame_hdr(l->p->subject->old),
				l->new_base + module_eh_frame_hdr(l->p->new)};

	if (!words)
		return err_nomem();
	TRY(mem_read(l->p->subject->process->pid, m->start, words, size));
	for (size_t i = 0; i < size / 8; i++) {
		taddr_t at = m->start + i * 8;

		// ld.so's own first allocations, the link_map among them, lie behind its data.
		if (at >= map && at < map + LINK_MAP_SCAN)
			continue;
		if (words[i] == phdr)
			TRY(patch_word(l, at, phdr, l->new_base + phdr_vaddr(l->p->new),
				       "_dl_phdr"));
		if (words[i] != l->old_base || i + 3 >= size / 8 || words[i + 2] != map ||
		    words[i + 3] != eh[0])
			continue;
		TRY(patch_word(l, at, words[i], l->new_base, "_dlfo_main"));
		const struct moved_word *end = find_word(l, words[i + 1]);
		TRY(patch_word(l, at + 8, words[i + 1],
			       end ? end->new : l->new_base + l->p->new->span,
			       "_dlfo_main"));
		TRY(patch_word(l, at + 24, eh[0], eh[1], "_dlfo_main"));
	}
	return NULL;
}

// The auxiliary vector on the stack: AT_PHDR and AT_ENTRY.
static struct err *patch_auxv(struct ldso *l)
{
	const struct module *old = l->p->subject->old, *new = l->p->new;
	const uint64_t pairs[2][3] = {
		{AT_PHDR, l->old_base + phdr_vaddr(old), l->new_base + phdr_vaddr(new)},
		{AT_ENTRY, l->old_base + old->entry, l->new_base + new->entry},
	};
	enum { TOP = 256 * 1024 };
	static const size_t max_words = TOP / 8;

	vec_for_each(m, &l->p->subject->target->maps.v) {
		if (strcmp(m->path, "[stack]"))
			continue;
		size_t n = (m->end - m->start) / 8;
		taddr_t from = n > max_words ? m->end - TOP : m->start;
		n = n > max_words ? max_words : n;
		_cleanup_free_ uint64_t *words = malloc(n * 8);
		if (!words)
			return err_nomem();
		TRY(mem_read(l->p->subject->process->pid, from, words, n * 8));
		for (size_t i = 0; i + 1 < n; i++)
			for (size_t k = 0; k < ARRAY_SIZE(pairs); k++)
				if (words[i] == pairs[k][0] && words[i + 1] == pairs[k][1])
					TRY(patch_word(l, from + (i + 1) * 8, pairs[k][1],
						       pairs[k][2], "auxv"));
	}
	return NULL;
}

// ld.so relocates some entries of the dynamic section in place: those that it did in OLD get the same in
// the image of NEW, and DT_DEBUG keeps the debugger's rendezvous.
static struct err *relocate_dynamic(struct ldso *l)
{
	struct plan *p = l->p;

	for (size_t j = 0; j < DYNAMIC_MAX; j++) {
		vaddr_t to = p->new->dynamic + j * sizeof(Elf64_Dyn);
		Elf64_Dyn nd, od, live;

		if (!module_read(p->new, to, &nd, sizeof(nd)) || nd.d_tag == DT_NULL)
			break;
		for (size_t i = 0; i < DYNAMIC_MAX; i++) {
			vaddr_t at = p->subject->old->dynamic + i * sizeof(Elf64_Dyn);

			if (!module_read(p->subject->old, at, &od, sizeof(od)) ||
			    od.d_tag == DT_NULL)
				break;
			if (od.d_tag != nd.d_tag)
				continue;
			TRY(mem_read(p->subject->process->pid, l->old_base + at, &live,
				     sizeof(live)));
			if (nd.d_tag == DT_DEBUG)
				nd.d_un.d_val = live.d_un.d_val;
			else if (live.d_un.d_val == od.d_un.d_val + l->old_base)
				nd.d_un.d_val += l->new_base;
			memcpy(p->image + to, &nd, sizeof(nd));
			break;
		}
	}
	return NULL;
}

// What ld.so and the kernel's start-up data keep of the executable alone.
static struct err *patch_exe(struct ldso *l, taddr_t map)
{
	const struct subject *s = l->p->subject;
	const struct link_entry *entry = link_list_rtld(&s->target->links);
	const struct mapping *rtld =
		entry ? maps_at(&s->target->maps, entry->dynamic) : NULL;

	if (!rtld || !rtld->ino)
		return err_with(
			err_new(ERR_UNSUPPORTED, "ld.so's list of modules was not found"),
			"ldso-unknown", "r_debug");
	vec_for_each(m, &s->target->maps.v)
		if (m->ino == rtld->ino && m->dev == rtld->dev && !(m->prot & PROT_EXEC))
			TRY(patch_ldso_mapping(l, map, m));
	return patch_auxv(l);
}

static struct err *patch_all(struct ldso *l)
{
	struct subject *s = l->p->subject;
	taddr_t map = s->target->links.v.v[s->link].addr;

	TRY(add_known(l));
	TRY(patch_link_map(l, map));
	if (subject_is_exe(s))
		TRY(patch_exe(l, map));
	return relocate_dynamic(l);
}

struct err *plan_ldso(struct plan *p)
{
	struct ldso l = {
		.p = p, .old_base = subject_base(p->subject), .new_base = p->layout.base};
	struct err *e = patch_all(&l);

	vec_free(&l.words);
	return e;
}
