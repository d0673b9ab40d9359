// SPDX-License-Identifier: LGPL-2.1-or-later
// The handles of libelf and libdw of a module, made when they are first asked for.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "elf/image.h"

struct lazy_dwarf {
	pthread_mutex_t lock;
	bool elf_tried, dwarf_tried;
	Elf *elf, *debug_elf;
	Dwarf *dwarf;
	const char *problem; // why there is no handle for the information that is there
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
	return im && image_debug_info(im);
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

// What a section says that it has uncompressed. libelf believes it and allocates as much.
static uint64_t uncompressed_size(const struct image *im, const struct section *s)
{
	const uint8_t *p = section_bytes(im, s);
	uint64_t size = s->size;
	Elf64_Chdr h;

	if (p && (s->flags & SHF_COMPRESSED) && s->size >= sizeof(h)) {
		memcpy(&h, p, sizeof(h));
		size = h.ch_size;
	} else if (p && !strncmp(s->name, ".zdebug", 7) && s->size >= 12) { // "ZLIB", size
		memcpy(&size, p + 4, sizeof(size));
		size = __builtin_bswap64(size);
	}
	return size;
}

// Compilers' output shrinks to a third or a tenth of its size; bombs to a thousandth.
static bool is_bomb(const struct image *im)
{
	const uint64_t harmless = 64 << 20, ratio = 100;
	uint64_t sum = 0;

	vec_for_each(s, &im->sections) {
		if (strncmp(s->name, ".debug", 6) && strncmp(s->name, ".zdebug", 7))
			continue;
		if (__builtin_add_overflow(sum, uncompressed_size(im, s), &sum))
			return true;
	}
	return sum > harmless && sum / ratio > im->size;
}

static Dwarf *begin_dwarf(const struct module *m)
{
	struct lazy_dwarf *l = m->lazy;
	const struct image *im = has_dwarf(m->image) ? m->image : m->debug_image;
	Elf *from = NULL;

	if (!has_dwarf(im))
		return NULL;
	if (is_bomb(im)) {
		l->problem =
			"its sections claim to be a hundred times as large as the file";
		return NULL;
	}
	if (im == m->image)
		from = elf_locked(m);
	else
		from = l->debug_elf = begin_elf(im);
	Dwarf *dwarf = from ? dwarf_begin_elf(from, DWARF_C_READ, NULL) : NULL;
	if (!dwarf)
		l->problem = from ? dwarf_errmsg(-1) : elf_errmsg(-1);
	return dwarf;
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

const char *module_dwarf_problem(const struct module *m)
{
	return module_dwarf(m) ? NULL : m->lazy->problem;
}
