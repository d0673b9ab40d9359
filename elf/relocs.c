// SPDX-License-Identifier: LGPL-2.1-or-later
// Dynamic relocations: DT_RELA, DT_JMPREL and the packed DT_RELR.
#include <stdlib.h>
#include <string.h>

#include "elf/image.h"

static struct err *read_rela(struct module *m, int64_t addr_tag, int64_t size_tag,
			     bool plt)
{
	uint64_t addr, size;

	if (!module_dynamic(m, addr_tag, &addr) || !module_dynamic(m, size_tag, &size))
		return NULL;
	const uint8_t *p = size ? module_bytes(m, addr, size) : NULL;
	if (size && !p)
		return elf_corrupt(m->path,
				   "the relocations at 0x%lx lie outside the file",
				   (unsigned long)addr);
	TRY(vec_reserve(&m->relocs, size / sizeof(Elf64_Rela)));
	for (uint64_t n = size / sizeof(Elf64_Rela); n; n--, p += sizeof(Elf64_Rela)) {
		Elf64_Rela r;

		memcpy(&r, p, sizeof(r));
		struct reloc rel = {.addr = r.r_offset,
				    .type = (uint32_t)ELF64_R_TYPE(r.r_info),
				    .addend = r.r_addend,
				    .plt = plt};
		uint64_t index = ELF64_R_SYM(r.r_info);
		if (index >= m->dynsyms.n && index)
			return elf_corrupt(
				m->path, "the relocation at 0x%lx names symbol %lu of %zu",
				(unsigned long)r.r_offset, (unsigned long)index,
				m->dynsyms.n);
		if (index) {
			const struct symbol *s = &m->dynsyms.v[index];

			rel.name = s->name;
			rel.version = s->version;
			rel.sym_defined = s->defined;
			rel.sym_addr = s->defined ? s->addr : 0;
			rel.sym_type = s->type;
			rel.sym_size = s->size;
		}
		TRY(vec_push(&m->relocs, rel));
	}
	return NULL;
}

static struct err *push_relative(struct module *m, vaddr_t at)
{
	int64_t addend;
	const uint8_t *p = module_bytes(m, at, sizeof(addend));

	if (!p)
		return elf_corrupt(m->path,
				   "the relocation at 0x%lx lies outside the file",
				   (unsigned long)at);
	memcpy(&addend, p, sizeof(addend));
	return vec_push(
		&m->relocs,
		(struct reloc){.addr = at, .type = R_X86_64_RELATIVE, .addend = addend});
}

// Generic ABI, SHT_RELR: an even word is an address, an odd one a bitmap of the 63 words
// behind.
static struct err *read_relr(struct module *m)
{
	enum { TAG_RELRSZ = 35, TAG_RELR = 36 };
	uint64_t addr, size, word, next = 0;

	if (!module_dynamic(m, TAG_RELR, &addr) || !module_dynamic(m, TAG_RELRSZ, &size))
		return NULL;
	const uint8_t *p = module_bytes(m, addr, size);
	if (!p)
		return elf_corrupt(m->path,
				   "the relocations at 0x%lx lie outside the file",
				   (unsigned long)addr);
	for (uint64_t n = size / sizeof(word); n; n--, p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		if (!(word & 1)) {
			TRY(push_relative(m, word));
			next = word + 8;
			continue;
		}
		for (unsigned bit = 1; bit < 64; bit++) {
			if (word >> bit & 1)
				TRY(push_relative(m, next + (uint64_t)(bit - 1) * 8));
		}
		next += (uint64_t)63 * 8;
	}
	return NULL;
}

static int by_addr(const void *a, const void *b)
{
	const struct reloc *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

struct err *module_read_relocs(struct module *m)
{
	if (!m->has_dynamic)
		return NULL;
	TRY(read_rela(m, DT_RELA, DT_RELASZ, false));
	TRY(read_rela(m, DT_JMPREL, DT_PLTRELSZ, true));
	TRY(read_relr(m));
	if (m->relocs.n)
		qsort(m->relocs.v, m->relocs.n, sizeof(struct reloc), by_addr);
	return NULL;
}
