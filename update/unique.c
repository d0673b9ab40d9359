// SPDX-License-Identifier: LGPL-2.1-or-later
// STB_GNU_UNIQUE symbols (inline variables and static members of C++): ld.so keeps a pointer to the symbol table
// entry that it saw first, in the image that the module started with, and adds the module's address of today.
#include <stddef.h>
#include <string.h>

#include "update/plan.h"

static struct err *patch_symbol(struct plan *p, const struct record_image *im,
				const struct module *file, size_t index, uint64_t table)
{
	const struct symbol *sym = &file->dynsyms.v[index];
	taddr_t at = im->base + table + index * sizeof(Elf64_Sym) +
		     offsetof(Elf64_Sym, st_value);
	const struct symbol *now = NULL;
	uint64_t was, value;

	vec_for_each(s, &p->new->dynsyms)
		if (s->defined && s->name && !strcmp(s->name, sym->name))
			now = s;
	if (!now)
		return NULL; // nobody may need it: check_exports
	value = plan_address(p, now->addr) - p->layout.base;
	TRY(mem_read(p->subject->process->pid, at, &was, sizeof(was)));
	return was == value
		       ? NULL
		       : plan_patch(p, at, &was, &value, sizeof(value), "unique symbol");
}

static bool is_unique(const struct symbol *sym)
{
	return sym->defined && sym->name && sym->bind == STB_GNU_UNIQUE &&
	       sym->type != STT_TLS;
}

static bool has_unique(const struct module *m)
{
	vec_for_each(sym, &m->dynsyms)
		if (is_unique(sym))
			return true;
	return false;
}

struct err *plan_unique(struct plan *p)
{
	const struct record *r = p->subject->record;
	const struct record_image *first = &r->images.v[0];
	struct module *file = p->subject->old, *opened = NULL;
	uint64_t table;

	// Where the module comes back to what it started with, its table is a part of what is compared.
	if (first->base == p->layout.base || !has_unique(p->subject->old))
		return NULL;
	if (first->base != subject_base(p->subject)) {
		TRY(record_image_open(first, NULL, true, &opened));
		file = opened;
	}
	struct err *e = NULL;
	if (module_dynamic(file, DT_SYMTAB, &table))
		for (size_t i = 0; i < file->dynsyms.n && !e; i++)
			if (is_unique(&file->dynsyms.v[i]))
				e = patch_symbol(p, first, file, i, table);
	module_close(opened);
	return e;
}
