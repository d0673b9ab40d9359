// SPDX-License-Identifier: LGPL-2.1-or-later
// Writing a core: memory first, wherever the saver wants it, headers and notes when all is known.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "image/impl.h"
#include "image/json.h"
#include "util/cleanup.h"

struct core_writer {
	int fd;
	char *name;
	uint64_t end; // of the room given so far
	struct core_runs runs;
};

struct err *core_create(int dir, const char *name, struct core_writer **ret)
{
	_cleanup_(core_writer_freep) struct core_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return err_nomem();
	w->fd = -1;
	w->end = CORE_PAGE;
	if (!(w->name = strdup(name)))
		return err_nomem();
	w->fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		       0600);
	if (w->fd < 0)
		return image_write_error(errno, name);
	*ret = take_ptr(w);
	return NULL;
}

int core_writer_fd(const struct core_writer *w)
{
	return w->fd;
}

uint64_t core_reserve(struct core_writer *w, uint64_t len)
{
	uint64_t at = w->end;

	w->end += (len + CORE_PAGE - 1) & ~(uint64_t)(CORE_PAGE - 1);
	return at;
}

struct err *core_add_run(struct core_writer *w, const struct page_run *run)
{
	bool aligned = !((run->addr | run->len | run->offset) & (CORE_PAGE - 1));

	if (!aligned || !run->len || run->addr + run->len < run->addr)
		return err_new(ERR_INTERNAL, "%s: a run of pages at %#llx is no range",
			       w->name, (unsigned long long)run->addr);
	if (run->kind == PAGES_DATA && (run->offset < CORE_PAGE || run->offset > w->end ||
					run->len > w->end - run->offset))
		return err_new(ERR_INTERNAL,
			       "%s: the run of pages at %#llx has no room in the file",
			       w->name, (unsigned long long)run->addr);
	return vec_push(&w->runs.v, *run);
}

static int by_addr(const void *a, const void *b)
{
	const struct page_run *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static int by_offset(const void *a, const void *b)
{
	const struct page_run *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static struct err *sort_runs(struct core_writer *w)
{
	struct page_run *v = w->runs.v.v;

	if (w->runs.v.n)
		qsort(v, w->runs.v.n, sizeof(*v), by_addr);
	for (size_t i = 1; i < w->runs.v.n; i++)
		if (v[i - 1].addr + v[i - 1].len > v[i].addr)
			return err_new(ERR_INTERNAL, "%s: two runs of pages at %#llx",
				       w->name, (unsigned long long)v[i].addr);
	return NULL;
}

static struct err *punch(struct core_writer *w, uint64_t from, uint64_t to)
{
	if (from < to && fallocate(w->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   (off_t)from, (off_t)(to - from)))
		return image_write_error(errno, w->name);
	return NULL;
}

// Removes what no run covers of one extent with data; `v` ascends by offset, *i is the first run that may reach it.
static struct err *punch_extent(struct core_writer *w, const struct core_runs *data,
				size_t *i, uint64_t from, uint64_t to)
{
	while (*i < data->v.n && data->v.v[*i].offset + data->v.v[*i].len <= from)
		++*i;
	for (size_t k = *i; k < data->v.n && data->v.v[k].offset < to && from < to; k++) {
		const struct page_run *r = &data->v.v[k];

		if (r->offset > from)
			TRY(punch(w, from, r->offset));
		if (r->offset + r->len > from)
			from = r->offset + r->len;
	}
	return punch(w, from, to);
}

static void runs_free(struct core_runs *r)
{
	vec_free(&r->v);
}

// Pages that were copied early and are zero or untouched now left their old bytes in the file.
static struct err *punch_stale(struct core_writer *w)
{
	_cleanup_(runs_free) struct core_runs data = {};
	uint64_t at = CORE_PAGE;
	size_t i = 0;

	vec_for_each(r, &w->runs.v)
		if (r->kind == PAGES_DATA)
			TRY(vec_push(&data.v, *r));
	if (data.v.n)
		qsort(data.v.v, data.v.n, sizeof(*data.v.v), by_offset);
	while (at < w->end) {
		off_t from = lseek(w->fd, (off_t)at, SEEK_DATA), to;

		if (from < 0 || (uint64_t)from >= w->end)
			break;
		to = lseek(w->fd, from, SEEK_HOLE);
		if (to < 0 || (uint64_t)to > w->end)
			to = (off_t)w->end;
		TRY(punch_extent(w, &data, &i, (uint64_t)from & ~(CORE_PAGE - 1ULL),
				 ((uint64_t)to + CORE_PAGE - 1) & ~(CORE_PAGE - 1ULL)));
		at = (uint64_t)to;
	}
	return NULL;
}

static void fill_header(Elf64_Ehdr *e, uint64_t phoff, size_t phnum, uint64_t shoff)
{
	*e = (Elf64_Ehdr){
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			    EV_CURRENT, ELFOSABI_NONE},
		.e_type = ET_CORE,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = phoff,
		.e_ehsize = sizeof(*e),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = phnum < PN_XNUM ? (uint16_t)phnum : PN_XNUM,
	};
	if (phnum >= PN_XNUM) {
		e->e_shoff = shoff;
		e->e_shentsize = sizeof(Elf64_Shdr);
		e->e_shnum = 1;
	}
}

// Behind the memory: notes, program headers and, for a number that e_phnum cannot hold, one section header.
static struct err *write_tail(struct core_writer *w, const struct note_buffer *notes,
			      struct core_phdrs *phdrs)
{
	uint64_t notes_at = w->end, phdrs_at = (notes_at + notes->v.n + 7) & ~7ULL;
	uint64_t size = phdrs->v.n * sizeof(Elf64_Phdr), section_at = phdrs_at + size;
	Elf64_Ehdr ehdr;

	phdrs->v.v[0] = (Elf64_Phdr){.p_type = PT_NOTE,
				     .p_offset = notes_at,
				     .p_filesz = notes->v.n,
				     .p_align = 4};
	fill_header(&ehdr, phdrs_at, phdrs->v.n, section_at);
	TRY(write_all(w->fd, w->name, notes->v.v, notes->v.n, notes_at));
	TRY(write_all(w->fd, w->name, phdrs->v.v, size, phdrs_at));
	w->end = section_at;
	if (phdrs->v.n >= PN_XNUM) {
		Elf64_Shdr s = {.sh_info = (uint32_t)phdrs->v.n, .sh_size = 1};

		TRY(write_all(w->fd, w->name, &s, sizeof(s), section_at));
		w->end += sizeof(s);
	}
	// Files that were made larger in advance end here.
	if (ftruncate(w->fd, (off_t)w->end))
		return image_write_error(errno, w->name);
	return write_all(w->fd, w->name, &ehdr, sizeof(ehdr), 0);
}

static struct err *make_entry(struct core_writer *w, const json_t *state, json_t **ret)
{
	json_t *entry = json_object(), *blocks = NULL;
	static const char *const copied[] = {"pid", "ppid", "comm"};
	struct err *e = entry ? NULL : err_nomem();

	for (size_t i = 0; i < ARRAY_SIZE(copied) && !e; i++)
		if (json_object_get(state, copied[i]))
			e = json_put(entry, copied[i],
				     json_incref(json_object_get(state, copied[i])));
	if (!e)
		e = json_put(entry, "core", json_string(w->name));
	if (!e)
		e = json_put_int(entry, "size", (int64_t)w->end);
	if (!e)
		e = hash_blocks(w->fd, w->name, w->end, &blocks);
	if (!e)
		e = json_put(entry, "blocks", blocks);
	if (e)
		json_decref(entry);
	else
		*ret = entry;
	return e;
}

static void phdrs_free(struct core_phdrs *p)
{
	vec_free(&p->v);
}

static void notes_free(struct note_buffer *n)
{
	vec_free(&n->v);
}

struct err *core_finish(struct core_writer *w, const json_t *state, const json_t *objects,
			json_t **manifest_entry)
{
	_cleanup_(core_maps_deinit) struct core_maps maps = {};
	_cleanup_(phdrs_free) struct core_phdrs phdrs = {};
	_cleanup_(notes_free) struct note_buffer notes = {};

	TRY(core_maps_parse(state, &maps));
	TRY(sort_runs(w));
	TRY(punch_stale(w));
	TRY(core_plan_phdrs(&maps, &w->runs, &w->end, &phdrs));
	TRY(notes_build(state, objects, &maps, &w->runs, &notes));
	TRY(write_tail(w, &notes, &phdrs));
	// The disk writes while the hashes are made; whoever needs it to be there waits for it later.
	sync_file_range(w->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	return make_entry(w, state, manifest_entry);
}

void core_writer_free(struct core_writer *w)
{
	if (!w)
		return;
	if (w->fd >= 0)
		close(w->fd);
	vec_free(&w->runs.v);
	free(w->name);
	free(w);
}

void core_writer_freep(struct core_writer **w)
{
	core_writer_free(*w);
}
