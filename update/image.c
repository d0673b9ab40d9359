// SPDX-License-Identifier: LGPL-2.1-or-later
// Relocates the new image: what ld.so would do, with addresses as the living process knows them.
#include <string.h>

#include "update/initial.h"

// The live value of OLD's slot of the same type for the same symbol (TLS offsets and module ids).
static struct err *from_twin_slot(const struct plan *p, const struct reloc *r,
				  unsigned word, uint64_t *ret)
{
	vec_for_each(old, &p->subject->old->relocs) {
		if (old->type != r->type || !old->name != !r->name ||
		    old->addend != r->addend)
			continue;
		if (r->name ? strcmp(old->name, r->name) != 0
			    : old->sym_addr != r->sym_addr)
			continue;
		return subject_read(p->subject, old->addr + word * 8, ret, sizeof(*ret));
	}
	return err_refuse(
		"tls-changed", r->name,
		"NEW refers to thread-local storage in a way that OLD does not: %s",
		r->name ? r->name : "unnamed");
}

static struct err *write_slot(struct plan *p, vaddr_t addr, uint64_t value)
{
	if (addr > p->new->span - sizeof(value))
		return err_with(err_new(ERR_CORRUPT,
					"%s: relocation at 0x%lx is outside the image",
					p->new->path, addr),
				"corrupt-elf", p->new->path);
	memcpy(p->image + addr, &value, sizeof(value));
	return NULL;
}

static struct err *add_ifunc(struct plan *p, vaddr_t slot, taddr_t resolver,
			     int64_t addend)
{
	struct ifunc_slot s = {.slot = slot, .resolver = resolver, .addend = addend};

	TRY(write_slot(p, slot, 0)); // inside the image, or an error
	return vec_push(&p->ifuncs, s);
}

static struct err *relocate_symbol(struct plan *p, const struct reloc *r)
{
	uint64_t value = 0;
	bool is_ifunc = false, found = false;
	int64_t addend = r->type == R_X86_64_64 ? r->addend : 0;

	if (r->sym_defined)
		TRY(resolve_interposed(p, r, &value, &is_ifunc, &found));
	if (found && is_ifunc)
		return add_ifunc(p, r->addr, value, addend);
	if (found)
		return write_slot(p, r->addr, value + (uint64_t)addend);
	if (r->sym_defined && r->sym_type == STT_GNU_IFUNC)
		return add_ifunc(p, r->addr, p->layout.base + r->sym_addr, addend);
	if (r->sym_defined)
		return write_slot(p, r->addr,
				  addend ? plan_address(p, r->sym_addr + (uint64_t)addend)
					 : plan_address(p, r->sym_addr));
	TRY(resolve_external(p, r, &value, &is_ifunc, &found));
	if (is_ifunc)
		return add_ifunc(p, r->addr, value, addend);
	return write_slot(p, r->addr, value + (uint64_t)addend);
}

static struct err *relocate_one(struct plan *p, const struct reloc *r)
{
	uint64_t value;

	switch (r->type) {
	case R_X86_64_NONE:
	case R_X86_64_COPY: // the variable is at home
		return NULL;
	case R_X86_64_RELATIVE:
		return write_slot(p, r->addr, plan_address(p, (vaddr_t)r->addend));
	case R_X86_64_IRELATIVE:
		return add_ifunc(p, r->addr, p->layout.base + (uint64_t)r->addend, 0);
	case R_X86_64_64:
	case R_X86_64_GLOB_DAT:
	case R_X86_64_JUMP_SLOT:
		return relocate_symbol(p, r);
	case R_X86_64_TPOFF64:
	case R_X86_64_DTPMOD64:
	case R_X86_64_DTPOFF64:
		TRY(from_twin_slot(p, r, 0, &value));
		return write_slot(p, r->addr, value);
	case R_X86_64_TLSDESC: // a function of ld.so and its argument
		for (unsigned word = 0; word < 2; word++) {
			TRY(from_twin_slot(p, r, word, &value));
			TRY(write_slot(p, r->addr + word * 8, value));
		}
		return NULL;
	default:
		return err_refuse("relocation", r->name,
				  "%s has a relocation of type %u at 0x%lx, "
				  "which molt does not know",
				  p->new->path, r->type, r->addr);
	}
}

// The value of an exported symbol is what the process knows it by, relative to the new image.
static struct err *rewrite_dynsym(struct plan *p)
{
	uint64_t at;

	if (!module_dynamic(p->new, DT_SYMTAB, &at))
		return NULL;
	for (size_t i = 0; i < p->new->dynsyms.n; i++) {
		const struct symbol *sym = &p->new->dynsyms.v[i];
		vaddr_t place = at + i * sizeof(Elf64_Sym) + offsetof(Elf64_Sym, st_value);

		if (!sym->defined || sym->type == STT_TLS || !sym->addr)
			continue;
		TRY(write_slot(p, place, plan_address(p, sym->addr) - p->layout.base));
	}
	return NULL;
}

// Slots of the old image that were never bound get their values: code that goes on in an old body may not
// ask ld.so by the numbers of a relocation table that is no longer there.
static struct err *bind_old_slots(struct plan *p)
{
	const struct module *old = p->subject->old;

	vec_for_each(r, &old->relocs) {
		taddr_t value, was;
		bool is_ifunc, found;

		if (!slot_is_lazy(p, r))
			continue;
		is_ifunc = found = false;
		if (r->sym_defined)
			TRY(resolve_interposed(p, r, &value, &is_ifunc, &found));
		if (r->sym_defined && !found)
			value = layout_function(&p->subject->record->layout, r->sym_addr);
		else if (!found)
			TRY(resolve_external(p, r, &value, &is_ifunc, &found));
		if (is_ifunc) {
			struct ifunc_slot s = {.resolver = value,
					       .old_slot = subject_base(p->subject) +
							   r->addr};

			TRY(vec_push(&p->ifuncs, s));
			continue;
		}
		TRY(subject_read(p->subject, r->addr, &was, sizeof(was)));
		TRY(plan_patch(p, subject_base(p->subject) + r->addr, &was, &value,
			       sizeof(value), "binding of an old PLT slot"));
	}
	return NULL;
}

// The first three words of the PLT's GOT belong to ld.so: link_map and _dl_runtime_resolve.
static struct err *copy_plt_header(struct plan *p)
{
	uint64_t old_got, new_got, word;

	if (!module_dynamic(p->new, DT_PLTGOT, &new_got) ||
	    !module_dynamic(p->subject->old, DT_PLTGOT, &old_got))
		return NULL;
	for (int i = 1; i <= 2; i++) {
		TRY(subject_read(p->subject, old_got + (uint64_t)i * 8, &word,
				 sizeof(word)));
		TRY(write_slot(p, new_got + (uint64_t)i * 8, word));
	}
	return NULL;
}

struct err *image_relocate(struct plan *p)
{
	vec_for_each(r, &p->new->relocs)
		TRY(relocate_one(p, r));
	TRY(copy_plt_header(p));
	TRY(rewrite_dynsym(p));
	return bind_old_slots(p);
}
