// SPDX-License-Identifier: LGPL-2.1-or-later
// See build_id.h.
#include "elf/build_id.h"

#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <unistd.h>

enum { NOTES_MAX = 65536, SEGMENTS_MAX = 4096, ALIGN = 4 };

static bool read_at(int fd, void *buf, size_t len, uint64_t at)
{
	return at <= INT64_MAX - len && pread(fd, buf, len, (off_t)at) == (ssize_t)len;
}

static void to_hex(const uint8_t *id, size_t n, char ret[BUILD_ID_MAX])
{
	for (size_t i = 0; i < n; i++)
		snprintf(ret + 2 * i, 3, "%02x", id[i]);
}

static bool find_note(const uint8_t *notes, size_t len, char ret[BUILD_ID_MAX])
{
	const size_t most = (BUILD_ID_MAX - 1) / 2;
	Elf64_Nhdr n;

	for (size_t at = 0; len - at >= sizeof(n);) {
		memcpy(&n, notes + at, sizeof(n));
		size_t name = at + sizeof(n);
		uint64_t desc = (uint64_t)name + roundup((uint64_t)n.n_namesz, ALIGN);
		uint64_t next = desc + roundup((uint64_t)n.n_descsz, ALIGN);

		if (next > len)
			return false;
		if (n.n_type == NT_GNU_BUILD_ID && n.n_namesz == sizeof("GNU") &&
		    !memcmp(notes + name, "GNU", sizeof("GNU")) && n.n_descsz <= most) {
			to_hex(notes + desc, n.n_descsz, ret);
			return true;
		}
		at = next;
	}
	return false;
}

static bool search_segment(int fd, const Elf64_Phdr *p, char ret[BUILD_ID_MAX])
{
	static const size_t max = NOTES_MAX;
	bool found = false;

	if (p->p_type != PT_NOTE || p->p_filesz > max)
		return false;
	uint8_t *notes = malloc(p->p_filesz + 1);
	if (notes && read_at(fd, notes, p->p_filesz, p->p_offset))
		found = find_note(notes, p->p_filesz, ret);
	free(notes);
	return found;
}

bool elf_build_id(int fd, char ret[BUILD_ID_MAX])
{
	Elf64_Ehdr h;
	Elf64_Phdr p;

	ret[0] = '\0';
	if (!read_at(fd, &h, sizeof(h), 0) || memcmp(h.e_ident, ELFMAG, SELFMAG) != 0)
		return false;
	if (h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_phentsize != sizeof(p))
		return true;
	for (uint64_t i = 0; i < MIN(h.e_phnum, SEGMENTS_MAX); i++)
		if (read_at(fd, &p, sizeof(p), h.e_phoff + i * sizeof(p)) &&
		    search_segment(fd, &p, ret))
			break;
	return true;
}
