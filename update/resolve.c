// SPDX-License-Identifier: LGPL-2.1-or-later
// Values of external symbols: what OLD's slots hold, else what ld.so would find.
#include <string.h>

#include "update/initial.h"

static bool same_name(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

bool slot_is_lazy(const struct plan *p, const struct reloc *old)
{
	uint64_t file, live;

	if (!old->plt || old->type != R_X86_64_JUMP_SLOT)
		return false;
	if (!module_read(p->subject->old, old->addr, &file, sizeof(file)))
		return false;
	struct err *e = subject_read(p->subject, old->addr, &live, sizeof(live));
	if (e) {
		err_free(e);
		return true;
	}
	// An unbound slot leads back into its own PLT entry.
	return live == subject_base(p->subject) + file;
}

// A bound slot of OLD for the same symbol; *found false when there is none.
static struct err *from_old_slot(const struct plan *p, const struct reloc *r,
				 taddr_t *ret, bool *found)
{
	*found = false;
	vec_for_each(old, &p->subject->old->relocs) {
		bool slot =
			old->type == R_X86_64_GLOB_DAT || old->type == R_X86_64_JUMP_SLOT;

		// The libraries use the program's copy of such a variable for ever.
		if (old->type == R_X86_64_COPY && same_name(old->name, r->name)) {
			*ret = layout_data(&p->subject->record->layout, old->addr);
			*found = true;
			return NULL;
		}
		if (!slot || old->addend || !same_name(old->name, r->name) ||
		    !same_name(old->version, r->version) || slot_is_lazy(p, old))
			continue;
		TRY(subject_read(p->subject, old->addr, ret, sizeof(*ret)));
		*found = true;
		return NULL;
	}
	return NULL;
}

static bool is_weak(const struct module *m, const char *name)
{
	vec_for_each(sym, &m->dynsyms)
		if (sym->name && !strcmp(sym->name, name))
			return sym->bind == STB_WEAK;
	return false;
}

struct err *resolve_external(const struct plan *p, const struct reloc *r, taddr_t *ret,
			     bool *is_ifunc, bool *found)
{
	*is_ifunc = false;
	TRY(from_old_slot(p, r, ret, found));
	if (*found)
		return NULL;
	TRY(link_lookup(&p->subject->target->links, r->name, r->version, true, ret,
			is_ifunc, found));
	if (*found)
		return NULL;
	*ret = 0;
	if (is_weak(p->new, r->name) || is_weak(p->subject->old, r->name)) {
		*found = true;
		return NULL;
	}
	return err_refuse(
		"symbol-missing", r->name,
		"NEW needs the symbol %s%s%s, which no loaded library of the process has",
		r->name, r->version ? "@" : "", r->version ? r->version : "");
}
