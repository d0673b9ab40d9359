// SPDX-License-Identifier: LGPL-2.1-or-later
// The symbol tables of a debugger's copy.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "elf/rebind_internal.h"
#include "util/cleanup.h"

// Not the marks of the linker (size 0): they stand on borders, not on variables.
static bool is_data(const Elf64_Sym *sym)
{
	switch (ELF64_ST_TYPE(sym->st_info)) {
	case STT_OBJECT:
	case STT_COMMON:
		return true;
	case STT_NOTYPE:
		return sym->st_size;
	default:
		return false;
	}
}

static bool is_defined(const Elf64_Sym *sym)
{
	return sym->st_shndx != SHN_UNDEF && sym->st_shndx != SHN_ABS;
}

static bool is_function(const Elf64_Sym *sym)
{
	unsigned type = ELF64_ST_TYPE(sym->st_info);

	return is_defined(sym) && (type == STT_FUNC || type == STT_GNU_IFUNC);
}

// A section index of the debug file, as the copy counts.
static uint16_t translate(const uint32_t *map, size_t n, uint16_t index)
{
	if (!map || !index || index >= SHN_LORESERVE)
		return index;
	return index < n && map[index] < SHN_LORESERVE ? (uint16_t)map[index] : SHN_ABS;
}

struct err *rebind_symtab(const struct rebind *r, struct out_section *s,
			  const uint32_t *map, size_t n_map)
{
	size_t n = s->header.sh_size / sizeof(Elf64_Sym);

	if (!s->out) {
		s->out = malloc(s->header.sh_size ? s->header.sh_size : 1);
		if (!s->out)
			return err_nomem();
		memcpy(s->out, s->in, s->header.sh_size);
	}
	for (size_t i = 0; i < n; i++) {
		uint8_t *at = s->out + i * sizeof(Elf64_Sym);
		Elf64_Sym sym;

		memcpy(&sym, at, sizeof(sym));
		sym.st_shndx = translate(map, n_map, sym.st_shndx);
		if (is_defined(&sym) && is_data(&sym))
			sym.st_value = rebind_address(r->m, r->rules, sym.st_value);
		memcpy(at, &sym, sizeof(sym));
	}
	return NULL;
}

struct name_table {
	VEC(char) bytes;
};

static struct err *add_name(struct name_table *t, const char *name, const char *suffix,
			    uint32_t *ret)
{
	size_t len = strlen(name), more = strlen(suffix) + 1;

	if (t->bytes.n + len + more > UINT32_MAX)
		return err_new(ERR_UNSUPPORTED, "over 4 GB of symbol names");
	TRY(vec_reserve(&t->bytes, len + more));
	*ret = (uint32_t)t->bytes.n;
	memcpy(t->bytes.v + t->bytes.n, name, len);
	memcpy(t->bytes.v + t->bytes.n + len, suffix, more);
	t->bytes.n += len + more;
	return NULL;
}

void rebind_old_suffix(const char *name, unsigned generation, char ret[24])
{
	bool mangled = name[0] == '_' && name[1] == 'Z';

	snprintf(ret, 24, mangled ? ".old.%u" : ".old%u", generation);
}

struct err *rebind_old_symtab(struct out_section *s, struct out_section *strings,
			      unsigned generation, const uint32_t *map, size_t n_map)
{
	size_t n = s->header.sh_size / sizeof(Elf64_Sym), locals = s->header.sh_info;
	size_t kept = 1, kept_locals = 1;
	_cleanup_free_ Elf64_Sym *syms = calloc(n + 1, sizeof(*syms));
	struct name_table names = {};
	char suffix[24];
	uint32_t empty;
	struct err *e = syms ? add_name(&names, "", "", &empty) : err_nomem();

	for (size_t i = 1; i < n && !e; i++) {
		Elf64_Sym sym;

		memcpy(&sym, s->in + i * sizeof(sym), sizeof(sym));
		const char *name =
			table_string(strings->in, strings->header.sh_size, sym.st_name);
		if (!name || !is_function(&sym))
			continue;
		rebind_old_suffix(name, generation, suffix);
		e = add_name(&names, name, suffix, &sym.st_name);
		sym.st_shndx = translate(map, n_map, sym.st_shndx);
		kept_locals += i < locals;
		syms[kept++] = sym;
	}
	if (e) {
		vec_free(&names.bytes);
		return e;
	}
	s->out = (uint8_t *)take_ptr(syms);
	s->header.sh_size = kept * sizeof(Elf64_Sym);
	s->header.sh_info = (uint32_t)kept_locals;
	strings->out = (uint8_t *)names.bytes.v;
	strings->header.sh_size = names.bytes.n;
	return NULL;
}
