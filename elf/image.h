// SPDX-License-Identifier: LGPL-2.1-or-later
// The bytes of one ELF file, mapped, with every range checked before it is read. Private
// to elf/.
#pragma once

#include "elf/module.h"

struct image {
	char *path;
	int fd; // -1 for bytes in memory
	dev_t dev;
	ino_t ino;
	uint8_t *map;
	size_t size;
	bool on_heap; // map was allocated
	Elf64_Ehdr header;
	VEC(struct segment) segments;
	VEC(struct section) sections;
	char build_id[65];
};

struct err *image_open(const char *path, struct image **ret) must_check;
struct err *image_open_memory(const char *name, const void *bytes, size_t size,
			      struct image **ret) must_check;
void image_close(struct image *im);
void image_closep(struct image **im);

// ERR_CORRUPT with the code corrupt-elf.
struct err *elf_corrupt(const char *path, const char *fmt, ...)
	must_check printf_like(2, 3);

// The bytes [offset, offset + size) of the file, NULL when any lie outside.
const uint8_t *image_bytes(const struct image *im, uint64_t offset, uint64_t size);

// The string at `index` of a table, NULL when it does not end within it.
const char *table_string(const uint8_t *table, uint64_t size, uint64_t index);

const struct section *image_section(const struct image *im, const char *name);
// .debug_info, or what older tools call it compressed; NULL when there is none in this file.
const struct section *image_debug_info(const struct image *im);

// Its bytes; NULL for SHT_NOBITS or none.
const uint8_t *section_bytes(const struct image *im, const struct section *s);

// Parts of module_open, one file each.
struct err *module_find_debug(struct module *m, const char *debug_dir) must_check;
struct err *module_read_dynamic(struct module *m) must_check;
struct err *module_read_symbols(struct module *m) must_check;
struct err *module_read_relocs(struct module *m) must_check;
struct err *module_read_fdes(struct module *m) must_check;
struct err *module_init_dwarf(struct module *m) must_check;
void module_free_dwarf(struct module *m);
// Why debugging information that is there cannot be read, NULL when it can or there is none.
const char *module_dwarf_problem(const struct module *m);
