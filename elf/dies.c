// SPDX-License-Identifier: LGPL-2.1-or-later
// The array of debugging information entries: sections, lookups by offset, walking.
#include "elf/dies_internal.h"

#include <stdlib.h>

#include "elf/image.h"
#include "util/cleanup.h"

enum { MAX_ORIGIN_DEPTH = 16, DIE_PAGE = 256 };

static struct bytes uncompressed(Elf_Scn *scn)
{
	Elf_Data *data = elf_getdata(scn, NULL);

	return data && data->d_buf ? (struct bytes){data->d_buf, data->d_size}
				   : (struct bytes){0};
}

static struct bytes cut_behind_nul(struct bytes b)
{
	while (b.n && b.p[b.n - 1])
		b.n--;
	return b;
}

// libdw has uncompressed the sections already, so that their bytes are final.
static void find_sections(Elf *elf, struct die_source *s, struct bytes *types)
{
	size_t shstrndx;
	Elf_Scn *scn = NULL;
	const struct {
		const char *name;
		struct bytes *to;
	} table[] = {
		{"info", &s->info},	    {"types", types},
		{"abbrev", &s->abbrev},	    {"str", &s->str},
		{"line_str", &s->line_str}, {"str_offsets", &s->str_offsets},
		{"addr", &s->addr},	    {"line", &s->line},
		{"ranges", &s->ranges},	    {"rnglists", &s->rnglists},
	};

	if (elf_getshdrstrndx(elf, &shstrndx))
		return;
	while ((scn = elf_nextscn(elf, scn))) {
		GElf_Shdr shdr;
		const char *name;

		if (!gelf_getshdr(scn, &shdr) || shdr.sh_type == SHT_NOBITS)
			continue;
		name = elf_strptr(elf, shstrndx, shdr.sh_name);
		if (!name || (strncmp(name, ".debug_", 7) && strncmp(name, ".zdebug_", 8)))
			continue;
		name = strchr(name, '_') + 1;
		for (size_t i = 0; i < ARRAY_SIZE(table); i++)
			if (!strcmp(name, table[i].name))
				*table[i].to = uncompressed(scn);
	}
	s->str = cut_behind_nul(s->str);
	s->line_str = cut_behind_nul(s->line_str);
}

static void gather_sources(Dwarf *dwarf, struct dies *d)
{
	struct die_source *s = d->sources;
	struct bytes ignored = {0};
	Dwarf *alt = dwarf_getalt(dwarf);

	find_sections(dwarf_getelf(dwarf), &s[0], &s[1].info);
	ignored = s[1].info;
	s[1] = s[0];
	s[1].info = ignored;
	s[1].bias = s[0].info.n;
	d->alt_bias = s[2].bias = s[1].bias + s[1].info.n;
	if (alt && dwarf_getelf(alt))
		find_sections(dwarf_getelf(alt), &s[2], &ignored);
}

static struct err *index_pages(struct dies *d)
{
	uint64_t end = d->sources[2].bias + d->sources[2].info.n;
	size_t next = 0;

	d->n_pages = end / DIE_PAGE + 2;
	d->page = malloc(d->n_pages * sizeof(*d->page));
	if (!d->page)
		return err_nomem();
	for (size_t i = 0; i < d->n_pages; i++) {
		while (next < d->dies.n && d->dies.v[next].off < i * DIE_PAGE)
			next++;
		d->page[i] = (uint32_t)next;
	}
	return NULL;
}

struct err *dies_read(const struct module *m, struct dies **ret)
{
	_cleanup_(dies_freep) struct dies *d = calloc(1, sizeof(*d));

	if (!d)
		return err_nomem();
	if (module_dwarf_problem(m))
		return elf_corrupt(m->path, "its debugging information cannot be read: %s",
				   module_dwarf_problem(m));
	if (module_dwarf(m)) {
		struct err *e;

		gather_sources(module_dwarf(m), d);
		e = dies_scan(d);
		if (e)
			return e->kind == ERR_CORRUPT ? err_with(e, "corrupt-elf", m->path)
						      : e;
	}
	TRY(index_pages(d));
	*ret = take_ptr(d);
	return NULL;
}

void dies_free(struct dies *d)
{
	if (!d)
		return;
	vec_free(&d->dies);
	vec_free(&d->units);
	vec_free(&d->files);
	free(d->page);
	free(d);
}

void dies_freep(struct dies **d)
{
	dies_free(*d);
}

const struct die *dies_at(const struct dies *d, uint64_t off)
{
	uint64_t page = off / DIE_PAGE;

	if (!off || page >= d->n_pages)
		return NULL;
	for (size_t i = d->page[page]; i < d->dies.n && d->dies.v[i].off <= off; i++)
		if (d->dies.v[i].off == off)
			return &d->dies.v[i];
	return NULL;
}

static bool encloses(const struct dies *d, const struct die *e, uint32_t i)
{
	return i < d->dies.n && i < e->next;
}

const struct die *dies_child(const struct dies *d, const struct die *e)
{
	uint32_t i = dies_index(d, e) + 1;

	return encloses(d, e, i) ? &d->dies.v[i] : NULL;
}

const struct die *dies_sibling(const struct dies *d, const struct die *e)
{
	const struct die *parent = dies_parent(d, e);

	if (!parent || !encloses(d, parent, e->next))
		return NULL;
	return &d->dies.v[e->next];
}

const struct die *dies_origin(const struct dies *d, const struct die *e)
{
	for (int i = 0; i < MAX_ORIGIN_DEPTH && e->origin; i++) {
		const struct die *to = dies_at(d, e->origin);

		if (!to)
			break;
		e = to;
	}
	return e;
}

const char *dies_file(const struct dies *d, const struct die *e)
{
	const struct die_unit *u = &d->units.v[e->unit];

	return e->decl_file < u->n_files ? d->files.v[u->first_file + e->decl_file] : NULL;
}
