// SPDX-License-Identifier: LGPL-2.1-or-later
// Opens one ELF module: checks its segments, then has each part of it read.
#include "elf/module.h"

#include <string.h>

#include "elf/image.h"
#include "util/arena.h"
#include "util/cleanup.h"

enum { PAGE = 4096 };

static struct err *check_load(struct module *m, const struct segment *s, vaddr_t *end)
{
	vaddr_t top;

	if (s->filesz > s->memsz || __builtin_add_overflow(s->addr, s->memsz, &top) ||
	    top > UINT64_MAX - PAGE)
		return elf_corrupt(m->path, "segment at 0x%lx has impossible sizes",
				   (unsigned long)s->addr);
	if (!image_bytes(m->image, s->offset, s->filesz))
		return elf_corrupt(m->path, "segment at 0x%lx lies outside the file",
				   (unsigned long)s->addr);
	if (s->addr < *end)
		return elf_corrupt(m->path, "segment at 0x%lx overlaps the one before it",
				   (unsigned long)s->addr);
	*end = top;
	return NULL;
}

static struct err *take_segments(struct module *m)
{
	vaddr_t end = 0;
	size_t loads = 0;

	vec_for_each(s, &m->segments) {
		switch (s->type) {
		case PT_LOAD:
			TRY(check_load(m, s, &end));
			loads++;
			break;
		case PT_INTERP:
			m->has_interp = true;
			break;
		case PT_DYNAMIC:
			m->has_dynamic = true;
			m->dynamic = s->addr;
			m->dynamic_size = s->filesz;
			break;
		case PT_GNU_RELRO:
			m->relro_addr = s->addr;
			m->relro_size = s->memsz;
			break;
		case PT_TLS:
			if (s->filesz > s->memsz)
				return elf_corrupt(
					m->path, "the TLS segment has impossible sizes");
			m->tls_addr = s->addr;
			m->tls_memsz = s->memsz;
			m->tls_filesz = s->filesz;
			m->tls_align = s->align;
			break;
		default:
			break;
		}
	}
	if (!loads)
		return elf_corrupt(m->path, "it has no segment to load");
	m->span = (end + PAGE - 1) & ~(vaddr_t)(PAGE - 1);
	return NULL;
}

static int by_addr(const void *a, const void *b)
{
	const struct section *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static struct err *take_sections(struct module *m)
{
	vec_for_each(s, &m->sections) {
		if ((s->flags & SHF_ALLOC) && !(s->flags & SHF_TLS) && s->size)
			TRY(vec_push(&m->alloc_sections, *s));
		if (s->type == SHT_RELA && !(s->flags & SHF_ALLOC) &&
		    s->info < m->sections.n &&
		    (m->sections.v[s->info].flags & SHF_EXECINSTR))
			m->has_emit_relocs = true;
	}
	if (m->alloc_sections.n)
		qsort(m->alloc_sections.v, m->alloc_sections.n, sizeof(struct section),
		      by_addr);
	return NULL;
}

static struct err *read_module(struct module *m, const char *debug_dir, bool bare)
{
	const struct image *im = m->image;

	m->fd = im->fd;
	m->map = im->map;
	m->map_size = im->size;
	m->type = im->header.e_type;
	m->entry = im->header.e_entry;
	memcpy(m->build_id, im->build_id, sizeof(m->build_id));
	TRY(vec_reserve(&m->segments, im->segments.n));
	TRY(vec_reserve(&m->sections, im->sections.n));
	vec_for_each(s, &im->segments)
		m->segments.v[m->segments.n++] = *s;
	vec_for_each(s, &im->sections)
		m->sections.v[m->sections.n++] = *s;
	TRY(take_segments(m));
	TRY(take_sections(m));
	TRY(module_read_dynamic(m));
	if (!bare)
		TRY(module_find_debug(m, debug_dir));
	TRY(module_read_symbols(m));
	TRY(module_read_relocs(m));
	TRY(module_read_fdes(m));
	return module_init_dwarf(m);
}

static struct module *new_module(const char *path)
{
	struct module *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->fd = -1;
	m->path = strdup(path);
	if (!m->path) {
		free(m);
		return NULL;
	}
	return m;
}

struct err *module_open(const char *path, const char *debug_dir, struct module **ret)
{
	_cleanup_(module_closep) struct module *m = new_module(path);

	if (!m)
		return err_nomem();
	TRY(image_open(path, &m->image));
	TRY(read_module(m, debug_dir, false));
	*ret = take_ptr(m);
	return NULL;
}

struct err *module_open_bare(const char *path, struct module **ret)
{
	_cleanup_(module_closep) struct module *m = new_module(path);

	if (!m)
		return err_nomem();
	TRY(image_open(path, &m->image));
	TRY(read_module(m, NULL, true));
	*ret = take_ptr(m);
	return NULL;
}

struct err *module_open_memory(const char *name, const void *bytes, size_t size,
			       struct module **ret)
{
	_cleanup_(module_closep) struct module *m = new_module(name);

	if (!m)
		return err_nomem();
	TRY(image_open_memory(name, bytes, size, &m->image));
	TRY(read_module(m, NULL, false));
	*ret = take_ptr(m);
	return NULL;
}

const uint8_t *module_debug_file(const struct module *m, size_t *size)
{
	*size = m->debug_image ? m->debug_image->size : 0;
	return m->debug_image ? m->debug_image->map : NULL;
}

void module_close(struct module *m)
{
	if (!m)
		return;
	module_free_dwarf(m);
	image_close(m->image);
	image_close(m->debug_image);
	vec_free(&m->segments);
	vec_free(&m->sections);
	vec_free(&m->alloc_sections);
	vec_free(&m->symbols);
	vec_free(&m->dynsyms);
	vec_free(&m->relocs);
	vec_free(&m->fdes);
	vec_free(&m->needed);
	vec_free(&m->versions);
	vec_free(&m->reach);
	vec_free(&m->by_name);
	arena_free(&m->strings);
	free(m->path);
	free(m->debug_path);
	free(m->debug_rejected);
	free(m);
}

void module_closep(struct module **m)
{
	module_close(*m);
}
