// SPDX-License-Identifier: LGPL-2.1-or-later
// Tables of pointers that lead to a new object: what start-up code walks (nginx's list of modules) it has walked.
#include <dwarf.h>

#include "elf/type_die.h"
#include "update/plan.h"

enum { TABLE_MIN = 2 }; // relocated words that make a table of what has no type

static const struct die *type_of(const struct dwarf_names *names, const struct var *v)
{
	return names->dies && v->type_die ? type_strip(names->dies, v->type_die) : NULL;
}

static bool is_array_of_pointers(const struct dwarf_names *names, const struct die *e)
{
	for (int i = 0; i < MAX_TYPE_DEPTH && e && e->tag == DW_TAG_array_type; i++) {
		e = type_strip(names->dies, e->type);
		if (e && die_is_pointer(e))
			return true;
	}
	return false;
}

static bool has_relocs(const struct module *m, const struct var *v, size_t n)
{
	size_t i = module_reloc_lower_bound(m, v->addr) + n - 1;

	return i < m->relocs.n && m->relocs.v[i].addr < v->addr + v->size;
}

static bool is_table(const struct diff *d, const struct var *old, const struct var *new)
{
	const struct die *e = type_of(&d->new_names, new);

	if (new->linker || new->copy_reloc)
		return false;
	return e ? is_array_of_pointers(&d->new_names, e)
		 : has_relocs(d->old, old, TABLE_MIN);
}

// The writable variable that only NEW has and that a relocated word leads to, or NULL.
static const struct var *leads_to_added(const struct diff *d, const struct reloc *r)
{
	if (r->name && !r->sym_defined)
		return NULL;
	vaddr_t at = (r->name ? r->sym_addr : 0) + (uint64_t)r->addend;
	uint32_t i = diff_new_var_at(d, at).inside;
	const struct var_pair *vp = i == NO_TWIN ? NULL : diff_var_of_new(d, i);

	return vp && vp->old == NO_TWIN && region_writable(d->new_vars.v[i].region)
		       ? &d->new_vars.v[i]
		       : NULL;
}

static struct err *check_table(const struct diff *d, const struct var *new)
{
	for (size_t i = module_reloc_lower_bound(d->new, new->addr);
	     i < d->new->relocs.n && d->new->relocs.v[i].addr < new->addr + new->size;
	     i++) {
		const struct var *added = leads_to_added(d, &d->new->relocs.v[i]);

		if (added)
			return err_refuse(
				"table-entry", new->name,
				"the table %s has a new entry, %s: what the program did "
				"with the entries when it started, it has not done with "
				"this one",
				new->name, added->name);
	}
	return NULL;
}

struct err *check_tables(const struct diff *d)
{
	vec_for_each(vp, &d->vars) {
		if (vp->old == NO_TWIN || vp->new == NO_TWIN)
			continue;
		const struct var *new = &d->new_vars.v[vp->new];

		if (is_table(d, &d->old_vars.v[vp->old], new))
			TRY(check_table(d, new));
	}
	return NULL;
}
