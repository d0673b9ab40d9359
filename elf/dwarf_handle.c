// SPDX-License-Identifier: LGPL-2.1-or-later
// The handles of libelf and libdw of a module, made when they are first asked for.
#include <pthread.h>
#include <stdlib.h>

#include "elf/image.h"

struct lazy_dwarf {
	pthread_mutex_t lock;
	bool elf_tried, dwarf_tried;
	Elf *elf, *debug_elf;
	Dwarf *dwarf;
};

struct err *module_init_dwarf(struct module *m)
{
	m->lazy = calloc(1, sizeof(*m->lazy));
	if (!m->lazy)
		return err_nomem();
	pthread_mutex_init(&m->lazy->lock, NULL);
	return NULL;
}

void module_free_dwarf(struct module *m)
{
	struct lazy_dwarf *l = m->lazy;

	if (!l)
		return;
	if (l->dwarf)
		dwarf_end(l->dwarf);
	if (l->elf)
		elf_end(l->elf);
	if (l->debug_elf)
		elf_end(l->debug_elf);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static Elf *begin_elf(const struct image *im)
{
	elf_version(EV_CURRENT);
	// A descriptor lets libdw find the file's folder, for dwz's shared part.
	if (im->fd >= 0)
		return elf_begin(im->fd, ELF_C_READ_MMAP, NULL);
	return elf_memory((char *)im->map, im->size);
}

static bool has_dwarf(const struct image *im)
{
	const struct section *s = im ? image_section(im, ".debug_info") : NULL;

	return s && s->type != SHT_NOBITS && s->size;
}

bool module_has_dwarf(const struct module *m)
{
	return has_dwarf(m->image) || has_dwarf(m->debug_image);
}

static Elf *elf_locked(const struct module *m)
{
	struct lazy_dwarf *l = m->lazy;

	if (!l->elf_tried)
		l->elf = begin_elf(m->image);
	l->elf_tried = true;
	return l->elf;
}

Elf *module_elf(const struct module *m)
{
	pthread_mutex_lock(&m->lazy->lock);
	Elf *elf = elf_locked(m);
	pthread_mutex_unlock(&m->lazy->lock);
	return elf;
}

static Dwarf *begin_dwarf(const struct module *m)
{
	struct lazy_dwarf *l = m->lazy;
	Elf *from = NULL;

	if (has_dwarf(m->image)) {
		from = elf_locked(m);
	} else if (has_dwarf(m->debug_image)) {
		l->debug_elf = begin_elf(m->debug_image);
		from = l->debug_elf;
	}
	return from ? dwarf_begin_elf(from, DWARF_C_READ, NULL) : NULL;
}

Dwarf *module_dwarf(const struct module *m)
{
	struct lazy_dwarf *l = m->lazy;

	pthread_mutex_lock(&l->lock);
	if (!l->dwarf_tried)
		l->dwarf = begin_dwarf(m);
	l->dwarf_tried = true;
	Dwarf *dwarf = l->dwarf;
	pthread_mutex_unlock(&l->lock);
	return dwarf;
}
