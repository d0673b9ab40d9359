// SPDX-License-Identifier: LGPL-2.1-or-later
// The bytes of one ELF file: header, program headers and sections, every range checked.
#include "elf/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "util/cleanup.h"

enum {
	MAX_SECTIONS = 1 << 20,
	MAX_SEGMENT_BYTES =
		65536, // of program headers; the kernel (fs/binfmt_elf.c) runs no more
};

struct err *elf_corrupt(const char *path, const char *fmt, ...)
{
	_cleanup_free_ char *what = NULL;
	va_list ap;

	va_start(ap, fmt);
	int len = vasprintf(&what, fmt, ap);
	va_end(ap);
	if (len < 0) {
		what = NULL;
		return err_nomem();
	}
	return err_with(err_new(ERR_CORRUPT, "%s is corrupt: %s", path, what),
			"corrupt-elf", path);
}

const uint8_t *image_bytes(const struct image *im, uint64_t offset, uint64_t size)
{
	uint64_t end;

	if (__builtin_add_overflow(offset, size, &end) || end > im->size)
		return NULL;
	return im->map + offset;
}

const char *table_string(const uint8_t *table, uint64_t size, uint64_t index)
{
	if (!table || index >= size || !memchr(table + index, 0, size - index))
		return NULL;
	return (const char *)table + index;
}

const struct section *image_section(const struct image *im, const char *name)
{
	vec_for_each(s, &im->sections) {
		if (!strcmp(s->name, name))
			return s;
	}
	return NULL;
}

const struct section *image_debug_info(const struct image *im)
{
	const struct section *s = image_section(im, ".debug_info");

	if (!s)
		s = image_section(im, ".zdebug_info");
	return s && s->type != SHT_NOBITS && s->size ? s : NULL;
}

const uint8_t *section_bytes(const struct image *im, const struct section *s)
{
	if (!s || s->type == SHT_NOBITS || s->type == SHT_NULL)
		return NULL;
	return image_bytes(im, s->offset, s->size);
}

static struct err *check_header(struct image *im)
{
	const Elf64_Ehdr *h = &im->header;

	if (im->size < EI_NIDENT || memcmp(im->map, ELFMAG, SELFMAG))
		return err_refuse("not-elf", im->path, "%s is no ELF file", im->path);
	if (im->size < sizeof(*h))
		return elf_corrupt(im->path, "the ELF header is cut off");
	memcpy(&im->header, im->map, sizeof(*h));
	if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB ||
	    h->e_machine != EM_X86_64)
		return err_refuse("wrong-arch", im->path,
				  "%s is not for x86-64 (machine %u, class %u)", im->path,
				  h->e_machine, h->e_ident[EI_CLASS]);
	if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
		return err_refuse(
			"not-executable", im->path,
			"%s is neither a program nor a shared object (ELF type %u)",
			im->path, h->e_type);
	return NULL;
}

static struct err *read_segments(struct image *im)
{
	const Elf64_Ehdr *h = &im->header;

	if (!h->e_phnum)
		return NULL;
	if (h->e_phentsize != sizeof(Elf64_Phdr))
		return elf_corrupt(im->path, "program headers of %u bytes",
				   h->e_phentsize);
	uint64_t size = (uint64_t)h->e_phnum * h->e_phentsize;
	const uint8_t *p = image_bytes(im, h->e_phoff, size);

	if (size > MAX_SEGMENT_BYTES)
		return elf_corrupt(im->path, "%u program headers are too many",
				   h->e_phnum);
	if (!p)
		return elf_corrupt(im->path, "the program headers lie outside the file");
	for (unsigned i = 0; i < h->e_phnum; i++, p += sizeof(Elf64_Phdr)) {
		Elf64_Phdr ph;

		memcpy(&ph, p, sizeof(ph));
		TRY(vec_push(&im->segments, (struct segment){
						    .type = ph.p_type,
						    .flags = ph.p_flags,
						    .addr = ph.p_vaddr,
						    .filesz = ph.p_filesz,
						    .memsz = ph.p_memsz,
						    .offset = ph.p_offset,
						    .align = ph.p_align,
					    }));
	}
	return NULL;
}

static struct err *read_section_headers(struct image *im, uint64_t *names)
{
	const Elf64_Ehdr *h = &im->header;
	uint64_t n = h->e_shnum;
	Elf64_Shdr sh;

	if (h->e_shentsize != sizeof(sh))
		return elf_corrupt(im->path, "section headers of %u bytes",
				   h->e_shentsize);
	const uint8_t *p = image_bytes(im, h->e_shoff, sizeof(sh));
	if (!p)
		return elf_corrupt(im->path, "the section headers lie outside the file");
	memcpy(&sh, p, sizeof(sh));
	if (!n)
		n = sh.sh_size;
	*names = h->e_shstrndx == SHN_XINDEX ? sh.sh_link : h->e_shstrndx;
	if (n > MAX_SECTIONS || !image_bytes(im, h->e_shoff, n * sizeof(sh)))
		return elf_corrupt(im->path, "the section headers lie outside the file");
	TRY(vec_reserve(&im->sections, n));
	for (uint64_t i = 0; i < n; i++, p += sizeof(sh)) {
		memcpy(&sh, p, sizeof(sh));
		im->sections.v[im->sections.n++] = (struct section){
			.name = "",
			.type = sh.sh_type,
			.flags = sh.sh_flags,
			.addr = sh.sh_addr,
			.size = sh.sh_size,
			.offset = sh.sh_offset,
			.entsize = sh.sh_entsize,
			.name_index = sh.sh_name,
			.link = sh.sh_link,
			.info = sh.sh_info,
		};
	}
	return NULL;
}

static struct err *read_sections(struct image *im)
{
	uint64_t names = 0;

	if (!im->header.e_shoff)
		return NULL;
	TRY(read_section_headers(im, &names));
	if (!im->sections.n || !names)
		return NULL;
	if (names >= im->sections.n)
		return elf_corrupt(im->path, "section names are in section %lu of %zu",
				   (unsigned long)names, im->sections.n);
	const struct section *table = &im->sections.v[names];
	const uint8_t *bytes = section_bytes(im, table);
	if (!bytes)
		return elf_corrupt(im->path, "the section names lie outside the file");
	vec_for_each(s, &im->sections) {
		s->name = table_string(bytes, table->size, s->name_index);
		if (!s->name)
			return elf_corrupt(im->path, "section %zu has no valid name",
					   (size_t)(s - im->sections.v));
		if (s->type != SHT_NOBITS && s->type != SHT_NULL && !section_bytes(im, s))
			return elf_corrupt(im->path, "section %s lies outside the file",
					   s->name);
	}
	return NULL;
}

static bool build_id_from_notes(struct image *im, const uint8_t *p, uint64_t size)
{
	while (p && size >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr n;

		memcpy(&n, p, sizeof(n));
		uint64_t name = ((uint64_t)n.n_namesz + 3) & ~3ULL;
		uint64_t desc = ((uint64_t)n.n_descsz + 3) & ~3ULL;
		uint64_t whole = sizeof(n) + name + desc;
		if (whole > size)
			return false;
		if (n.n_type == NT_GNU_BUILD_ID && n.n_namesz == 4 &&
		    !memcmp(p + sizeof(n), "GNU", 4) && n.n_descsz &&
		    n.n_descsz <= (sizeof(im->build_id) - 1) / 2) {
			const uint8_t *id = p + sizeof(n) + name;

			for (unsigned i = 0; i < n.n_descsz; i++)
				sprintf(im->build_id + (size_t)2 * i, "%02x", id[i]);
			return true;
		}
		p += whole;
		size -= whole;
	}
	return false;
}

static void read_build_id(struct image *im)
{
	// A debug file keeps the notes' sections, while its program headers may point
	// anywhere.
	vec_for_each(s, &im->sections) {
		if (s->type == SHT_NOTE &&
		    build_id_from_notes(im, section_bytes(im, s), s->size))
			return;
	}
	vec_for_each(p, &im->segments) {
		if (p->type == PT_NOTE &&
		    build_id_from_notes(im, image_bytes(im, p->offset, p->filesz),
					p->filesz))
			return;
	}
}

static struct err *read_image(struct image *im)
{
	TRY(check_header(im));
	TRY(read_segments(im));
	TRY(read_sections(im));
	read_build_id(im);
	return NULL;
}

static struct err *map_file(struct image *im)
{
	struct stat st;

	im->fd = open(im->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a FIFO: no wait
	if (im->fd < 0)
		return err_sys(errno, "cannot open %s", im->path);
	if (fstat(im->fd, &st))
		return err_sys(errno, "cannot stat %s", im->path);
	if (S_ISDIR(st.st_mode))
		return err_refuse("not-elf", im->path, "%s is a folder, no ELF file",
				  im->path);
	if (!S_ISREG(st.st_mode) || !st.st_size)
		return err_refuse("not-elf", im->path, "%s is no ELF file", im->path);
	im->dev = st.st_dev;
	im->ino = st.st_ino;
	void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, im->fd, 0);
	if (p == MAP_FAILED)
		return err_sys(errno, "cannot map %s", im->path);
	im->map = p;
	im->size = (size_t)st.st_size;
	return NULL;
}

static struct image *new_image(const char *path)
{
	struct image *im = calloc(1, sizeof(*im));

	if (!im)
		return NULL;
	im->fd = -1;
	im->path = strdup(path);
	if (!im->path) {
		free(im);
		return NULL;
	}
	return im;
}

struct err *image_open(const char *path, struct image **ret)
{
	_cleanup_(image_closep) struct image *im = new_image(path);

	if (!im)
		return err_nomem();
	TRY(map_file(im));
	TRY(read_image(im));
	*ret = take_ptr(im);
	return NULL;
}

struct err *image_open_memory(const char *name, const void *bytes, size_t size,
			      struct image **ret)
{
	_cleanup_(image_closep) struct image *im = new_image(name);

	if (!im)
		return err_nomem();
	im->on_heap = true;
	im->map = malloc(size ? size : 1);
	if (!im->map)
		return err_nomem();
	memcpy(im->map, bytes, size);
	im->size = size;
	TRY(read_image(im));
	*ret = take_ptr(im);
	return NULL;
}

void image_close(struct image *im)
{
	if (!im)
		return;
	if (im->on_heap)
		free(im->map);
	else if (im->map)
		munmap(im->map, im->size);
	if (im->fd >= 0)
		close(im->fd);
	vec_free(&im->segments);
	vec_free(&im->sections);
	free(im->path);
	free(im);
}

void image_closep(struct image **im)
{
	image_close(*im);
}
