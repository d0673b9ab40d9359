// SPDX-License-Identifier: LGPL-2.1-or-later
// What is at an address of a module: region, bytes, symbol, relocation, function bounds.
#include <string.h>

#include "elf/dynamic.h"
#include "elf/module.h"

static const struct segment *load_at(const struct module *m, vaddr_t addr)
{
	vec_for_each(s, &m->segments) {
		if (s->type == PT_LOAD && addr >= s->addr && addr - s->addr < s->memsz)
			return s;
	}
	return NULL;
}

// Linkers may put read-only data into the executable segment; the section's flags tell
// them apart.
static bool section_is_code(const struct module *m, vaddr_t addr)
{
	size_t low = 0, high = m->alloc_sections.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (m->alloc_sections.v[mid].addr <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low)
		return true;
	const struct section *s = &m->alloc_sections.v[low - 1];
	return addr - s->addr >= s->size || (s->flags & SHF_EXECINSTR);
}

enum region module_region(const struct module *m, vaddr_t addr)
{
	const struct segment *s = load_at(m, addr);

	if (!s)
		return REGION_NONE;
	if (s->flags & PF_X)
		return section_is_code(m, addr) ? REGION_TEXT : REGION_RODATA;
	if (!(s->flags & PF_W))
		return REGION_RODATA;
	if (addr >= m->relro_addr && addr - m->relro_addr < m->relro_size)
		return REGION_RELRO;
	return addr - s->addr < s->filesz ? REGION_DATA : REGION_BSS;
}

const uint8_t *module_bytes(const struct module *m, vaddr_t addr, uint64_t size)
{
	const struct segment *s = load_at(m, addr);

	if (!s || addr - s->addr > s->filesz || s->filesz - (addr - s->addr) < size)
		return NULL;
	return m->map + s->offset + (addr - s->addr);
}

bool module_read(const struct module *m, vaddr_t addr, void *buf, uint64_t size)
{
	const struct segment *s = load_at(m, addr);

	if (!s || s->memsz - (addr - s->addr) < size)
		return false;
	uint64_t at = addr - s->addr, file = at < s->filesz ? s->filesz - at : 0;
	if (file > size)
		file = size;
	if (file)
		memcpy(buf, m->map + s->offset + at, file);
	memset((char *)buf + file, 0, size - file);
	return true;
}

const struct symbol *module_symbol_at(const struct module *m, vaddr_t addr, unsigned types)
{
	size_t low = 0, high = m->symbols.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (m->symbols.v[mid].addr <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	for (const struct symbol *best = NULL; low--;) {
		const struct symbol *s = &m->symbols.v[low];

		// Among aliases the first in the table's order wins.
		if (best && best->addr != s->addr)
			return best;
		if (s->type != STT_TLS && (types & (1u << s->type)) &&
		    (s->addr == addr || addr - s->addr < s->size))
			best = s;
		if (!low || (!best && m->reach.v[low] <= addr && s->addr != addr))
			return best;
	}
	return NULL;
}

const struct symbol *module_symbol_named(const struct module *m, const char *name)
{
	const struct symbol *local = NULL;
	size_t mask = m->by_name.n - 1;

	if (!m->by_name.n)
		return NULL;
	for (size_t i = symbol_name_hash(name) & mask; m->by_name.v[i];
	     i = (i + 1) & mask) {
		const struct symbol *s = &m->symbols.v[m->by_name.v[i] - 1];

		if (!s->defined || strcmp(s->name, name))
			continue;
		if (s->bind != STB_LOCAL)
			return s;
		if (!local || s < local)
			local = s;
	}
	return local;
}

size_t module_reloc_lower_bound(const struct module *m, vaddr_t addr)
{
	size_t low = 0, high = m->relocs.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (m->relocs.v[mid].addr < addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct reloc *module_reloc_at(const struct module *m, vaddr_t addr)
{
	size_t i = module_reloc_lower_bound(m, addr);

	return i < m->relocs.n && m->relocs.v[i].addr == addr ? &m->relocs.v[i] : NULL;
}

const struct fde *module_fde_at(const struct module *m, vaddr_t addr)
{
	size_t low = 0, high = m->fdes.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (m->fdes.v[mid].addr <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low)
		return NULL;
	const struct fde *f = &m->fdes.v[low - 1];
	return addr - f->addr < f->size ? f : NULL;
}
