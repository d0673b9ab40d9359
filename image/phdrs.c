// SPDX-License-Identifier: LGPL-2.1-or-later
// The program headers of a core: which bytes of the file each mapping's pages are.
#include <string.h>
#include <sys/mman.h>

#include "image/impl.h"
#include "image/json.h"
#include "util/cleanup.h"

enum { MAPS_MAX = 1 << 20 }; // vm.max_map_count is 65530 by default

static struct err *parse_map(const json_t *json, struct core_map *m)
{
	const json_t *file;
	const char *kind;

	TRY(json_get_string(json, "kind", &kind));
	if (strcmp(kind, "vsyscall") == 0)
		return NULL;
	TRY(json_get_addr(json, "start", &m->start));
	TRY(json_get_addr(json, "end", &m->end));
	if (m->start >= m->end || (m->start | m->end) & (CORE_PAGE - 1))
		return err_new(ERR_CORRUPT, "%#llx-%#llx is no range of pages",
			       (unsigned long long)m->start, (unsigned long long)m->end);
	TRY(json_get_i32(json, "prot", 0, 7, &m->prot));
	m->file = strcmp(kind, "file") == 0;
	if (!m->file)
		return NULL;
	TRY(json_get_u64(json, "offset", INT64_MAX, &m->offset));
	TRY(json_opt_object(json, "file", &file));
	m->path = json_string_value(json_object_get(file, "path"));
	return NULL;
}

struct err *core_maps_parse(const json_t *state, struct core_maps *ret)
{
	const json_t *array, *json;
	taddr_t last = 0;
	size_t i;

	TRY(json_get_array(state, "maps", MAPS_MAX, &array));
	json_array_foreach(array, i, json)
	{
		struct core_map m = {};
		struct err *e = parse_map(json, &m);

		if (!e && m.end && m.start < last)
			e = err_new(ERR_CORRUPT, "it does not lie above the one before");
		if (!e && m.end)
			e = vec_push(&ret->v, m);
		if (e)
			return json_at(e, "maps", i);
		if (m.end)
			last = m.end;
	}
	return NULL;
}

void core_maps_deinit(struct core_maps *m)
{
	vec_free(&m->v);
}

struct planner {
	struct core_phdrs *ret;
	const struct core_map *map;
	Elf64_Phdr piece; // p_filesz 0: none
	bool joinable;	  // nothing but zeros between the piece and where we are
	size_t last;	  // the run that the piece ends with
	taddr_t done;	  // up to here there are headers
};

static uint32_t elf_flags(int prot)
{
	return (prot & PROT_READ ? PF_R : 0U) | (prot & PROT_WRITE ? PF_W : 0U) |
	       (prot & PROT_EXEC ? PF_X : 0U);
}

static struct err *emit(struct planner *p, taddr_t addr, uint64_t len, uint64_t offset,
			uint64_t in_file)
{
	const Elf64_Phdr *before = &p->ret->v.v[p->ret->v.n - 1];

	// As in the kernel's cores, what has no bytes stands where the one before ends; elfutils goes by that.
	if (!in_file)
		offset = before->p_type == PT_LOAD ? before->p_offset + before->p_filesz
						   : CORE_PAGE;
	return vec_push(&p->ret->v, (Elf64_Phdr){.p_type = PT_LOAD,
						 .p_flags = elf_flags(p->map->prot),
						 .p_offset = offset,
						 .p_vaddr = addr,
						 .p_filesz = in_file,
						 .p_memsz = len,
						 .p_align = CORE_PAGE});
}

// The piece, and a header without bytes up to `until`.
static struct err *flush(struct planner *p, taddr_t until)
{
	Elf64_Phdr *piece = &p->piece;

	if (piece->p_filesz) {
		if (piece->p_vaddr > p->done)
			TRY(emit(p, p->done, piece->p_vaddr - p->done, piece->p_offset, 0));
		TRY(emit(p, piece->p_vaddr, piece->p_filesz, piece->p_offset,
			 piece->p_filesz));
		p->done = piece->p_vaddr + piece->p_filesz;
		piece->p_filesz = 0;
	}
	if (until > p->done) {
		TRY(emit(p, p->done, until - p->done, 0, 0));
		p->done = until;
	}
	return NULL;
}

// Bytes of the file for one piece of the mapping. `follows`: nothing else lies in the file between the run before and it.
static struct err *add_piece(struct planner *p, taddr_t addr, uint64_t len,
			     uint64_t offset, size_t run, bool follows)
{
	Elf64_Phdr *piece = &p->piece;

	if (piece->p_filesz && follows && p->joinable &&
	    offset - piece->p_offset == addr - piece->p_vaddr) {
		piece->p_filesz = addr + len - piece->p_vaddr;
	} else {
		TRY(flush(p, addr));
		piece->p_vaddr = addr;
		piece->p_filesz = len;
		piece->p_offset = offset;
	}
	p->joinable = true;
	p->last = run;
	return NULL;
}

static struct err *plan_map(struct planner *p, const struct core_runs *runs,
			    const size_t *next, size_t *i, uint64_t *end)
{
	taddr_t at = p->map->start;

	p->done = at;
	p->piece = (Elf64_Phdr){};
	while (*i < runs->v.n && runs->v.v[*i].addr + runs->v.v[*i].len <= at)
		++*i;
	for (size_t k = *i; k < runs->v.n && runs->v.v[k].addr < p->map->end; k++) {
		const struct page_run *r = &runs->v.v[k];
		taddr_t from = r->addr > at ? r->addr : at;
		taddr_t to = r->addr + r->len;

		if (to > p->map->end)
			to = p->map->end;
		if (from > at && p->map->file)
			p->joinable = false;
		if (r->kind == PAGES_DATA) {
			TRY(add_piece(p, from, to - from, r->offset + (from - r->addr), k,
				      p->piece.p_filesz && next[p->last] == k));
		} else if (r->kind == PAGES_PARENT) {
			p->joinable = false;
		} else if (p->map->file) { // readers would take the file's bytes
			TRY(add_piece(p, from, to - from, *end, k, false));
			p->joinable = false;
			*end += to - from;
		}
		at = to;
	}
	return flush(p, p->map->end);
}

struct at_offset {
	uint64_t offset;
	size_t run;
};

static int by_offset(const void *a, const void *b)
{
	const struct at_offset *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

// For each run with data the one that follows it in the file, SIZE_MAX: none.
static struct err *order_in_file(const struct core_runs *runs, size_t **ret)
{
	size_t n = runs->v.n, m = 0;
	_cleanup_free_ size_t *next = calloc(n + 1, sizeof(*next));
	_cleanup_free_ struct at_offset *order = calloc(n + 1, sizeof(*order));

	if (!next || !order)
		return err_nomem();
	for (size_t i = 0; i < n; i++) {
		next[i] = SIZE_MAX;
		if (runs->v.v[i].kind == PAGES_DATA)
			order[m++] = (struct at_offset){runs->v.v[i].offset, i};
	}
	qsort(order, m, sizeof(*order), by_offset);
	for (size_t i = 1; i < m; i++)
		next[order[i - 1].run] = order[i].run;
	*ret = take_ptr(next);
	return NULL;
}

struct err *core_plan_phdrs(const struct core_maps *maps, const struct core_runs *runs,
			    uint64_t *end, struct core_phdrs *ret)
{
	struct planner p = {.ret = ret};
	_cleanup_free_ size_t *next = NULL;
	size_t i = 0;

	TRY(order_in_file(runs, &next));
	TRY(vec_push(&ret->v, (Elf64_Phdr){.p_type = PT_NOTE})); // filled in later
	vec_for_each(m, &maps->v) {
		p.map = m;
		TRY(plan_map(&p, runs, next, &i, end));
	}
	return NULL;
}
