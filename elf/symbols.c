// SPDX-License-Identifier: LGPL-2.1-or-later
// .symtab and .dynsym, with files, versions, and the indices that make lookups quick.
#include <stdlib.h>
#include <string.h>

#include "elf/dynamic.h"
#include "elf/image.h"
#include "util/arena.h"

// What the names of a table may have together: no compiler writes names as long as this on average. In a
// damaged table each of a million symbols may begin in the same string of megabytes.
enum { MAX_AVERAGE_NAME = 4096 };

static bool names_too_long(const char *name, uint64_t n, uint64_t *sum)
{
	*sum += strlen(name);
	return *sum / MAX_AVERAGE_NAME > n + 64;
}

static enum region symbol_region(const struct module *m, const Elf64_Sym *s)
{
	if (ELF64_ST_TYPE(s->st_info) == STT_TLS)
		return REGION_TLS;
	if (s->st_shndx == SHN_UNDEF || s->st_shndx == SHN_ABS)
		return REGION_NONE;
	return module_region(m, s->st_value);
}

static struct symbol make_symbol(const struct module *m, const Elf64_Sym *s)
{
	return (struct symbol){
		.addr = s->st_value,
		.size = s->st_size,
		.type = ELF64_ST_TYPE(s->st_info),
		.bind = ELF64_ST_BIND(s->st_info),
		.defined = s->st_shndx != SHN_UNDEF,
		.region = symbol_region(m, s),
	};
}

// ld writes "stdout@GLIBC_2.2.5" into .symtab for what a COPY relocation defines.
static bool split_version(struct module *m, struct symbol *s)
{
	const char *at = strchr(s->name, '@');

	if (!at || at == s->name)
		return true;
	s->version = at[1] == '@' ? at + 2 : at + 1;
	s->name = arena_strndup(&m->strings, s->name, (size_t)(at - s->name));
	return s->name;
}

static struct err *read_symtab(struct module *m, const struct image *im,
			       const struct section *tab)
{
	const uint8_t *p = section_bytes(im, tab), *names;
	const char *file = NULL;
	uint64_t sum = 0;

	if (!p || tab->link >= im->sections.n)
		return elf_corrupt(im->path, "the symbol table lies outside the file");
	const struct section *strings = &im->sections.v[tab->link];
	names = section_bytes(im, strings);
	if (!names)
		return elf_corrupt(im->path, "the symbols' names lie outside the file");
	for (uint64_t n = tab->size / sizeof(Elf64_Sym); n; n--, p += sizeof(Elf64_Sym)) {
		Elf64_Sym sym;

		memcpy(&sym, p, sizeof(sym));
		struct symbol s = make_symbol(m, &sym);
		s.name = table_string(names, strings->size, sym.st_name);
		if (!s.name)
			return elf_corrupt(
				im->path,
				"a symbol's name lies outside the string table");
		if (names_too_long(s.name, tab->size / sizeof(sym), &sum))
			return elf_corrupt(im->path, "the symbols' names are too long");
		if (s.type == STT_FILE) {
			// The linker's own locals stand behind a file without a name.
			file = *s.name && *s.name != '<' ? s.name : NULL;
			continue;
		}
		if (s.type == STT_SECTION || !s.defined || !*s.name)
			continue;
		if (s.bind == STB_LOCAL)
			s.file = file;
		if (!split_version(m, &s))
			return err_nomem();
		TRY(vec_push(&m->symbols, s));
	}
	return NULL;
}

static uint32_t gnu_hash_count(const struct module *m, vaddr_t at)
{
	uint32_t h[4], max = 0;
	const uint8_t *p = module_bytes(m, at, sizeof(h));

	if (!p)
		return 0;
	memcpy(h, p, sizeof(h));
	vaddr_t buckets = at + sizeof(h) + (uint64_t)h[2] * 8;
	vaddr_t chains = buckets + (uint64_t)h[0] * 4;
	p = module_bytes(m, buckets, (uint64_t)h[0] * 4);
	if (!p)
		return 0;
	for (uint32_t i = 0; i < h[0]; i++) {
		uint32_t b;

		memcpy(&b, p + (size_t)4 * i, 4);
		if (b > max)
			max = b;
	}
	if (max < h[1])
		return h[1];
	for (uint32_t i = max; i < UINT32_MAX; i++) {
		uint32_t c;

		p = module_bytes(m, chains + (uint64_t)(i - h[1]) * 4, 4);
		if (!p)
			return 0;
		memcpy(&c, p, 4);
		if (c & 1)
			return i + 1;
	}
	return 0;
}

// .dynsym has no length of its own in PT_DYNAMIC: its section says it, else a hash table.
static uint64_t dynsym_count(const struct module *m, vaddr_t at)
{
	uint64_t hash;
	const uint8_t *p;
	uint32_t n;

	vec_for_each(s, &m->sections) {
		if (s->type == SHT_DYNSYM && s->addr == at)
			return s->size / sizeof(Elf64_Sym);
	}
	if (module_dynamic(m, DT_HASH, &hash) && (p = module_bytes(m, hash, 8))) {
		memcpy(&n, p + 4, 4);
		return n;
	}
	if (module_dynamic(m, DT_GNU_HASH, &hash))
		return gnu_hash_count(m, hash);
	return 0;
}

static const char *version_of(const struct module *m, vaddr_t table, uint64_t index)
{
	const uint8_t *p = module_bytes(m, table + index * 2, 2);
	uint16_t v;

	if (!p)
		return NULL;
	memcpy(&v, p, 2);
	v &= 0x7fff;
	return v < m->versions.n ? m->versions.v[v] : NULL;
}

static struct err *read_dynsym(struct module *m)
{
	uint64_t at, versions, sum = 0;

	if (!module_dynamic(m, DT_SYMTAB, &at))
		return NULL;
	bool versioned = module_dynamic(m, DT_VERSYM, &versions);
	uint64_t n = dynsym_count(m, at), size;
	if (__builtin_mul_overflow(n, sizeof(Elf64_Sym), &size))
		size = UINT64_MAX;
	const uint8_t *p = module_bytes(m, at, size);
	if (!p)
		return elf_corrupt(m->path, "the dynamic symbols lie outside the file");
	for (uint64_t i = 0; i < n; i++, p += sizeof(Elf64_Sym)) {
		Elf64_Sym sym;

		memcpy(&sym, p, sizeof(sym));
		struct symbol s = make_symbol(m, &sym);
		s.name = dynamic_string(m, sym.st_name);
		if (!s.name)
			return elf_corrupt(
				m->path,
				"a symbol's name lies outside the dynamic strings");
		if (names_too_long(s.name, n, &sum))
			return elf_corrupt(m->path, "the symbols' names are too long");
		if (versioned)
			s.version = version_of(m, versions, i);
		TRY(vec_push(&m->dynsyms, s));
	}
	return NULL;
}

static int by_place(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	if (x->size != y->size)
		return x->size > y->size ? -1 : 1;
	return strcmp(x->name, y->name);
}

static struct err *index_symbols(struct module *m)
{
	vaddr_t reach = 0;
	size_t slots = 16;

	if (m->symbols.n)
		qsort(m->symbols.v, m->symbols.n, sizeof(struct symbol), by_place);
	if (m->symbols.n >= UINT32_MAX / 4)
		return elf_corrupt(m->path, "it has %zu symbols", m->symbols.n);
	while (slots < m->symbols.n * 2)
		slots *= 2;
	TRY(vec_reserve(&m->reach, m->symbols.n));
	TRY(vec_reserve(&m->by_name, slots));
	memset(m->by_name.v, 0, slots * sizeof(uint32_t));
	m->by_name.n = slots;
	vec_for_each(s, &m->symbols) {
		vaddr_t end = s->addr + s->size;

		if (s->type != STT_TLS && end >= s->addr && end > reach)
			reach = end;
		m->reach.v[m->reach.n++] = reach;
		size_t slot = symbol_name_hash(s->name) & (slots - 1);
		while (m->by_name.v[slot])
			slot = (slot + 1) & (slots - 1);
		m->by_name.v[slot] = (uint32_t)(s - m->symbols.v) + 1;
	}
	return NULL;
}

static const struct section *symtab_of(const struct image *im)
{
	if (!im)
		return NULL;
	vec_for_each(s, &im->sections) {
		if (s->type == SHT_SYMTAB && s->size >= 2 * sizeof(Elf64_Sym))
			return s;
	}
	return NULL;
}

struct err *module_read_symbols(struct module *m)
{
	const struct image *im = m->image;
	const struct section *tab = symtab_of(im);

	TRY(read_dynsym(m));
	if (!tab) {
		im = m->debug_image;
		tab = symtab_of(im);
	}
	m->has_symtab = tab;
	if (tab) {
		TRY(read_symtab(m, im, tab));
	} else {
		vec_for_each(s, &m->dynsyms) {
			if (s->defined && s->type != STT_SECTION && *s->name)
				TRY(vec_push(&m->symbols, *s));
		}
	}
	return index_symbols(m);
}
