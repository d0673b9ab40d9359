// SPDX-License-Identifier: LGPL-2.1-or-later
// Looking for pointers; see pointers.h.
#include "update/pointers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/cleanup.h"

enum {
	PAGE = 4096,
	CHUNK_PAGES = 256,
	SEARCH_MAX = 32 << 20, // bytes that may be searched inside the stop
};

static const uint64_t pagemap_there = 3ull
				      << 62; // present or swapped (kernel, pagemap.rst)

// True when the word at `at` is a relocated word of OLD's own data that points to [from, to): the merge of
// initial data will point it to the new place.
static bool merged_word(const struct plan *p, taddr_t at, vaddr_t from, vaddr_t to)
{
	const struct module *old = p->subject->old;

	vec_for_each(r, &old->relocs) {
		if (r->type != R_X86_64_RELATIVE && r->type != R_X86_64_64)
			continue;
		vaddr_t target = (r->name ? r->sym_addr : 0) + (uint64_t)r->addend;
		if (target >= from && target < to &&
		    layout_data(&p->subject->record->layout, r->addr) == at)
			return true;
	}
	return false;
}

struct search {
	const struct plan *p;
	const struct var *v;
	taddr_t home;
	int pagemap;
	uint64_t *buf;
	uint64_t resident; // bytes seen
	taddr_t found;
};

static struct err *search_chunk(struct search *s, taddr_t at, size_t pages)
{
	uint64_t flags[CHUNK_PAGES];
	ssize_t got =
		pread(s->pagemap, flags, pages * sizeof(*flags), (off_t)(at / PAGE * 8));

	for (size_t k = 0; k < pages; k++) {
		taddr_t page = at + k * PAGE;

		if (got == (ssize_t)(pages * sizeof(*flags)) && !(flags[k] & pagemap_there))
			continue; // never touched
		s->resident += PAGE;
		if (!s->v)
			continue;
		struct err *e = mem_read(s->p->subject->process->pid, page, s->buf, PAGE);
		if (e) { // device memory and the like, unmapped meanwhile
			err_free(e);
			continue;
		}
		for (size_t i = 0; i < PAGE / 8; i++)
			if (s->buf[i] >= s->home && s->buf[i] < s->home + s->v->size &&
			    !merged_word(s->p, page + i * 8, s->v->addr,
					 s->v->addr + s->v->size)) {
				s->found = page + i * 8;
				return NULL;
			}
	}
	return NULL;
}

static struct err *search(struct search *s)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/pagemap", s->p->subject->process->pid);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ uint64_t *buf = malloc(PAGE);
	if (fd < 0)
		return err_sys(errno, "cannot read %s", path);
	if (!buf)
		return err_nomem();
	s->pagemap = fd;
	s->buf = buf;
	vec_for_each(m, &s->p->subject->target->maps.v) {
		if (!(m->prot & PROT_WRITE) || !strncmp(m->path, "/memfd:molt:", 12))
			continue;
		for (taddr_t at = m->start; at < m->end && !s->found;
		     at += CHUNK_PAGES * PAGE) {
			size_t pages = (m->end - at) / PAGE;

			TRY(search_chunk(s, at, pages < CHUNK_PAGES ? pages : CHUNK_PAGES));
		}
	}
	return NULL;
}

struct err *pointers_find(const struct plan *p, const struct var *v, taddr_t home,
			  taddr_t *ret)
{
	struct search s = {.p = p, .v = v, .home = home};

	TRY(search(&s));
	*ret = s.found;
	return NULL;
}

struct err *pointers_searchable(const struct plan *p, bool *ret)
{
	struct search s = {.p = p};

	TRY(search(&s));
	*ret = s.resident <= SEARCH_MAX;
	return NULL;
}

taddr_t pointers_in_registers(const struct plan *p, const struct var *v, taddr_t home)
{
	vec_for_each(t, &p->subject->process->threads) {
		const unsigned long long *r = (const unsigned long long *)&t->regs;

		for (size_t i = 0; i < sizeof(t->regs) / sizeof(*r); i++)
			if (r[i] >= home && r[i] < home + v->size)
				return r[i];
	}
	return 0;
}
