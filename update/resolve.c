// SPDX-License-Identifier: LGPL-2.1-or-later
// Values of symbols of other modules: what OLD's slots hold, else what ld.so would find, where the modules that
// are updated too count as they will be.
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

static const struct plan *plan_of_link(const struct plan *p, size_t link)
{
	for (size_t i = 0; i < p->all.n; i++)
		if (p->all.v[i]->subject->link == link)
			return p->all.v[i];
	return NULL;
}

// What one module of the process has or will have.
static struct err *find_in_module(const struct plan *p, size_t link, const struct reloc *r,
				  taddr_t *ret, bool *is_ifunc, bool *found)
{
	const struct plan *other = plan_of_link(p, link);

	if (!other)
		return link_find(&p->subject->target->links, link, r->name, r->version,
				 ret, is_ifunc, found);
	const struct symbol *sym = module_definition(other->new, r->name, r->version);
	*found = sym;
	*is_ifunc = sym && sym->type == STT_GNU_IFUNC;
	if (sym)
		*ret = *is_ifunc ? other->layout.base + sym->addr
				 : plan_address(other, sym->addr);
	return NULL;
}

static struct err *find_in_scope(const struct plan *p, const struct reloc *r,
				 size_t until, taddr_t *ret, bool *is_ifunc, bool *found)
{
	*found = *is_ifunc = false;
	for (size_t i = 0; !*found && i < p->scope.v.n && p->scope.v.v[i] != until; i++)
		TRY(find_in_module(p, p->scope.v.v[i], r, ret, is_ifunc, found));
	return NULL;
}

// DT_SYMBOLIC: a library that looks into itself first.
static bool is_symbolic(const struct module *m)
{
	uint64_t flags;

	return module_dynamic(m, DT_SYMBOLIC, &flags) ||
	       (module_dynamic(m, DT_FLAGS, &flags) && flags & DF_SYMBOLIC);
}

struct err *resolve_interposed(const struct plan *p, const struct reloc *r, taddr_t *ret,
			       bool *is_ifunc, bool *found)
{
	*found = *is_ifunc = false;
	if (subject_is_exe(p->subject) || is_symbolic(p->new))
		return NULL;
	return find_in_scope(p, r, p->subject->link, ret, is_ifunc, found);
}

struct err *resolve_external(const struct plan *p, const struct reloc *r, taddr_t *ret,
			     bool *is_ifunc, bool *found)
{
	*is_ifunc = false;
	TRY(from_old_slot(p, r, ret, found));
	if (*found)
		return NULL;
	TRY(find_in_scope(p, r, SIZE_MAX, ret, is_ifunc, found));
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

static bool needs(const struct module *m, const char *name)
{
	vec_for_each(sym, &m->dynsyms)
		if (sym->name && !sym->defined && sym->bind != STB_WEAK &&
		    !strcmp(sym->name, name))
			return true;
	// The program's copy of a library's variable is a definition of its own.
	vec_for_each(r, &m->relocs)
		if (r->type == R_X86_64_COPY && r->name && !strcmp(r->name, name))
			return true;
	return false;
}

struct err *resolve_user(const struct plan *p, const char *name, const char **ret)
{
	struct link_list *l = &p->subject->target->links;

	*ret = NULL;
	for (size_t i = 0; i < l->v.n && !*ret; i++) {
		const struct plan *other = plan_of_link(p, i);

		if (i == p->subject->link)
			continue;
		TRY(link_entry_open(l, &l->v.v[i]));
		const struct module *m = other ? other->new : l->v.v[i].file;
		if (m && needs(m, name))
			*ret = *l->v.v[i].name ? l->v.v[i].name : p->subject->process->exe;
	}
	return NULL;
}

static bool exports(const struct module *m, const struct symbol *sym)
{
	vec_for_each(s, &m->dynsyms)
		if (s->defined && s->bind != STB_LOCAL && s->name &&
		    s->type == sym->type && !strcmp(s->name, sym->name) &&
		    (!sym->version || (s->version && !strcmp(s->version, sym->version))))
			return true;
	return false;
}

struct err *check_exports(struct plan *p)
{
	const char *user;

	if (subject_is_exe(p->subject))
		return NULL;
	vec_for_each(sym, &p->subject->old->dynsyms) {
		if (!sym->name || !sym->defined || sym->bind == STB_LOCAL ||
		    exports(p->new, sym))
			continue;
		TRY(resolve_user(p, sym->name, &user));
		if (user)
			return err_refuse("symbol-missing", sym->name,
					  "NEW %s no longer has %s%s%s, which %s needs",
					  p->new->path, sym->name, sym->version ? "@" : "",
					  sym->version ? sym->version : "", user);
	}
	return NULL;
}
