// SPDX-License-Identifier: LGPL-2.1-or-later
// Puts a debugger's copy together; see rebind.h.
#include "elf/rebind.h"

#include <stdlib.h>
#include <string.h>

#include "elf/rebind_internal.h"
#include "util/cleanup.h"

enum { SECTION_ALIGN = 16 };

// How the sections of the debug file are numbered in the copy.
struct numbering {
	const struct image *im;
	uint32_t *to; // UINT32_MAX: it is left out
};

static void rebind_deinit(struct rebind *r)
{
	vec_for_each(s, &r->sections)
		free(s->out);
	vec_free(&r->sections);
}

static bool is_debug_name(const char *name)
{
	return !strncmp(name, ".debug_", 7) || !strncmp(name, ".zdebug_", 8) ||
	       !strcmp(name, ".gdb_index");
}

static Elf64_Shdr raw_header(const struct image *im, size_t i)
{
	Elf64_Shdr sh;

	memcpy(&sh, im->map + im->header.e_shoff + i * sizeof(sh), sizeof(sh));
	return sh;
}

static struct out_section *find_section(const struct rebind *r, const char *name)
{
	vec_for_each(s, &r->sections)
		if (!strcmp(s->name, name))
			return s;
	return NULL;
}

static struct err *add_section(struct rebind *r, const struct image *im, size_t i)
{
	const struct section *from = &im->sections.v[i];
	struct out_section s = {.header = raw_header(im, i),
				.name = from->name,
				.in = section_bytes(im, from)};
	bool dead = !(from->flags & SHF_ALLOC) &&
		    (!s.in || (!r->rules && is_debug_name(from->name)) ||
		     !strcmp(from->name, ".gnu_debuglink") ||
		     !strcmp(from->name, ".shstrtab"));

	// Numbers stay: symbols and links count them.
	if (dead) {
		s.header = (Elf64_Shdr){};
		s.name = "";
		s.in = NULL;
	}
	return vec_push(&r->sections, s);
}

// What only the debug file has: symbols, DWARF.
static struct err *add_debug_sections(struct rebind *r, struct numbering *n)
{
	size_t own = r->sections.n;

	n->to = calloc(n->im->sections.n + 1, sizeof(*n->to));
	if (!n->to)
		return err_nomem();
	for (size_t i = 1; i < n->im->sections.n; i++) {
		const struct section *from = &n->im->sections.v[i];
		const struct out_section *have = find_section(r, from->name);

		n->to[i] = UINT32_MAX;
		if (have && *from->name) {
			n->to[i] = (uint32_t)(have - r->sections.v);
			continue;
		}
		if (from->flags & SHF_ALLOC)
			continue;
		n->to[i] = (uint32_t)r->sections.n;
		TRY(add_section(r, n->im, i));
	}
	for (size_t i = own; i < r->sections.n; i++) {
		Elf64_Shdr *sh = &r->sections.v[i].header;

		if (sh->sh_link && sh->sh_link < n->im->sections.n &&
		    n->to[sh->sh_link] != UINT32_MAX)
			sh->sh_link = n->to[sh->sh_link];
	}
	return NULL;
}

// libdw has uncompressed them: that content takes the place of what the file has.
static struct err *take_dwarf(struct rebind *r)
{
	Dwarf *dwarf = module_dwarf(r->m);
	Elf *elf = dwarf ? dwarf_getelf(dwarf) : NULL;
	size_t names;
	Elf_Scn *scn = NULL;

	if (!elf || elf_getshdrstrndx(elf, &names))
		return NULL;
	while ((scn = elf_nextscn(elf, scn))) {
		GElf_Shdr sh;
		const char *name =
			gelf_getshdr(scn, &sh) ? elf_strptr(elf, names, sh.sh_name) : NULL;
		struct out_section *s = name ? find_section(r, name) : NULL;

		if (!s || !s->in || (sh.sh_flags & SHF_ALLOC) || !is_debug_name(name))
			continue;
		Elf_Data *data = elf_getdata(scn, NULL);
		if (!data || !data->d_buf)
			continue;
		if (!strncmp(s->name, ".zdebug_", 8))
			return err_new(ERR_UNSUPPORTED,
				       "%s has its DWARF in sections of the old "
				       "compressed form (%s)",
				       r->m->path, s->name);
		s->in = data->d_buf;
		s->header.sh_size = data->d_size;
		s->header.sh_flags = sh.sh_flags;
		s->header.sh_addralign = sh.sh_addralign;
	}
	return NULL;
}

static struct err *make_patched(struct rebind *r, const char *name, struct patched *p)
{
	struct out_section *s = find_section(r, name);

	if (!s || !s->in || (s->header.sh_flags & SHF_COMPRESSED))
		return NULL;
	p->in = (struct bytes){s->in, s->header.sh_size};
	s->out = malloc(p->in.n ? p->in.n : 1);
	if (!s->out)
		return err_nomem();
	memcpy(s->out, s->in, p->in.n);
	p->out = s->out;
	return NULL;
}

static struct err *change_dwarf(struct rebind *r)
{
	struct rebind_dwarf d = {.m = r->m, .rules = r->rules};

	TRY(take_dwarf(r));
	TRY(make_patched(r, ".debug_info", &d.info));
	TRY(make_patched(r, ".debug_types", &d.types));
	TRY(make_patched(r, ".debug_loc", &d.loc));
	TRY(make_patched(r, ".debug_loclists", &d.loclists));
	TRY(make_patched(r, ".debug_addr", &d.addr));
	return d.info.out ? rebind_dwarf(&d) : NULL;
}

// The strings of a symbol table, if both can be made anew: neither is in memory, nor has been made anew before.
static struct out_section *names_of(const struct rebind *r, const struct out_section *s)
{
	size_t link = s->header.sh_link;
	struct out_section *names = link < r->sections.n ? &r->sections.v[link] : NULL;

	if (!names || names->header.sh_type != SHT_STRTAB || !names->in || names->out ||
	    s->out || ((s->header.sh_flags | names->header.sh_flags) & SHF_ALLOC))
		return NULL;
	return names;
}

static struct err *change_symbols(struct rebind *r, const struct numbering *n, size_t own,
				  unsigned generation)
{
	bool has_symtab = find_section(r, ".symtab");

	for (size_t i = 0; i < r->sections.n; i++) {
		struct out_section *s = &r->sections.v[i];
		bool dynamic = s->header.sh_type == SHT_DYNSYM;
		const uint32_t *map = i >= own ? n->to : NULL;
		size_t n_map = map ? n->im->sections.n : 0;

		if ((!dynamic && s->header.sh_type != SHT_SYMTAB) || !s->in)
			continue;
		// A program's exported variables are in both tables, and debuggers read both.
		if (dynamic && has_symtab) {
			s->header.sh_type = SHT_PROGBITS;
			continue;
		}
		if (r->rules) {
			TRY(rebind_symtab(r, s, map, n_map));
			continue;
		}
		struct out_section *names = names_of(r, s);
		if (!dynamic && names)
			TRY(rebind_old_symtab(s, names, generation, map, n_map));
	}
	return NULL;
}

// The end of what segments and sections in memory occupy of the file; all of that stays where it is.
static uint64_t head_end(const struct image *im)
{
	uint64_t end = sizeof(Elf64_Ehdr);
	uint64_t phdrs = im->header.e_phoff + im->segments.n * sizeof(Elf64_Phdr);

	if (im->segments.n && phdrs > end)
		end = phdrs;
	vec_for_each(p, &im->segments)
		if (image_bytes(im, p->offset, p->filesz) && p->offset + p->filesz > end)
			end = p->offset + p->filesz;
	vec_for_each(s, &im->sections)
		if ((s->flags & SHF_ALLOC) && section_bytes(im, s) &&
		    s->offset + s->size > end)
			end = s->offset + s->size;
	return end;
}

static bool is_moved(const struct out_section *s)
{
	return s->in && !(s->header.sh_flags & SHF_ALLOC);
}

static struct err *add_section_names(struct rebind *r, uint64_t *size, uint8_t **ret)
{
	struct out_section names = {.header = {.sh_type = SHT_STRTAB, .sh_addralign = 1},
				    .name = ".shstrtab"};
	uint64_t at = 1;

	TRY(vec_push(&r->sections, names));
	vec_for_each(s, &r->sections)
		*size += strlen(s->name) + 1;
	*size += 1;
	*ret = calloc(1, *size);
	if (!*ret)
		return err_nomem();
	vec_for_each(s, &r->sections) {
		if (!*s->name) {
			s->header.sh_name = 0;
			continue;
		}
		s->header.sh_name = (uint32_t)at;
		strcpy((char *)*ret + at, s->name);
		at += strlen(s->name) + 1;
	}
	struct out_section *last = &r->sections.v[r->sections.n - 1];
	last->header.sh_size = at;
	last->in = last->out = *ret; // owned by the section
	return NULL;
}

static uint64_t align_up(uint64_t v)
{
	return (v + SECTION_ALIGN - 1) & ~(uint64_t)(SECTION_ALIGN - 1);
}

static struct err *write_copy(struct rebind *r, uint8_t **ret, size_t *size)
{
	const struct image *im = r->m->image;
	uint64_t end = head_end(im), names_size = 0;
	Elf64_Ehdr header = im->header;
	uint8_t *names, *block;

	TRY(add_section_names(r, &names_size, &names));
	if (r->sections.n >= SHN_LORESERVE)
		return err_new(ERR_UNSUPPORTED, "%s has %zu sections", r->m->path,
			       r->sections.n);
	const uint64_t head = end;
	vec_for_each(s, &r->sections) {
		if (!is_moved(s))
			continue;
		s->header.sh_offset = end = align_up(end);
		if (__builtin_add_overflow(end, s->header.sh_size, &end))
			return err_nomem();
	}
	header.e_shoff = align_up(end);
	header.e_shnum = (uint16_t)r->sections.n;
	header.e_shstrndx = (uint16_t)(r->sections.n - 1);
	*size = header.e_shoff + r->sections.n * sizeof(Elf64_Shdr);
	block = calloc(1, *size);
	if (!block)
		return err_nomem();
	memcpy(block, im->map, head);
	memcpy(block, &header, sizeof(header));
	uint8_t *at = block + header.e_shoff;
	vec_for_each(s, &r->sections) {
		const uint8_t *from = s->out ? s->out : s->in;

		// Changed tables of symbols in memory (.dynsym) keep their place.
		if (s->out || is_moved(s))
			memcpy(block + s->header.sh_offset, from, s->header.sh_size);
		memcpy(at, &s->header, sizeof(s->header));
		at += sizeof(s->header);
	}
	*ret = block;
	return NULL;
}

static struct err *make_copy(struct rebind *r, unsigned generation, uint8_t **ret,
			     size_t *size)
{
	const struct image *im = r->m->image;
	struct numbering n = {.im = r->m->debug_image};
	struct err *e = NULL;

	for (size_t i = 0; i < im->sections.n && !e; i++)
		e = add_section(r, im, i);
	size_t own = r->sections.n;
	if (!e && n.im)
		e = add_debug_sections(r, &n);
	if (!e && r->rules)
		e = change_dwarf(r);
	if (!e)
		e = change_symbols(r, &n, own, generation);
	if (!e)
		e = write_copy(r, ret, size);
	free(n.to);
	return e;
}

struct err *rebind_file(const struct module *m, const struct rebind_rules *rules,
			uint8_t **ret, size_t *size)
{
	_cleanup_(rebind_deinit) struct rebind r = {.m = m, .rules = rules};

	return make_copy(&r, 0, ret, size);
}

struct err *rebind_old_file(const struct module *m, unsigned generation, uint8_t **ret,
			    size_t *size)
{
	_cleanup_(rebind_deinit) struct rebind r = {.m = m};

	return make_copy(&r, generation, ret, size);
}
