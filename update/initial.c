// SPDX-License-Identifier: LGPL-2.1-or-later
// Initial words of both programs and what they are in the process; see initial.h.
#include "update/initial.h"

#include <string.h>

struct initial_word initial_word(const struct module *m, vaddr_t addr, uint8_t len)
{
	struct initial_word w = {.len = len};

	if (len == 8)
		w.reloc = module_reloc_at(m, addr);
	if (!w.reloc && !module_read(m, addr, &w.raw, len))
		w.raw = 0;
	return w;
}

// The vaddr a relocation leads to inside its own module.
static bool local_target(const struct reloc *r, vaddr_t *ret)
{
	if (r->type == R_X86_64_RELATIVE) {
		*ret = (vaddr_t)r->addend;
		return true;
	}
	if (r->type == R_X86_64_64 && r->sym_defined) {
		*ret = r->sym_addr + (uint64_t)r->addend;
		return true;
	}
	return false;
}

const char *initial_string(const struct module *m, const struct initial_word *w)
{
	vaddr_t at;

	if (!w->reloc || !local_target(w->reloc, &at) ||
	    module_region(m, at) != REGION_RODATA)
		return NULL;
	const char *s = (const char *)module_bytes(m, at, 1);
	vec_for_each(seg, &m->segments)
		if (s && seg->type == PT_LOAD && at >= seg->addr &&
		    at - seg->addr < seg->filesz)
			return memchr(s, 0, seg->filesz - (at - seg->addr)) ? s : NULL;
	return NULL;
}

static struct err *external_value(const struct plan *p, const struct reloc *r,
				  uint64_t *ret, bool *known)
{
	bool is_ifunc, found;

	*known = false;
	if (r->type != R_X86_64_64 || !r->name)
		return NULL;
	TRY(resolve_external(p, r, ret, &is_ifunc, &found));
	*ret += (uint64_t)r->addend;
	*known = found && !is_ifunc;
	return NULL;
}

struct err *initial_value_new(const struct plan *p, const struct initial_word *w,
			      uint64_t *ret, bool *known)
{
	vaddr_t at;

	*known = true;
	*ret = w->raw;
	if (!w->reloc)
		return NULL;
	if (local_target(w->reloc, &at)) {
		*ret = plan_address(p, at);
		return NULL;
	}
	return external_value(p, w->reloc, ret, known);
}

// The live value of an address of OLD as its data holds it.
static taddr_t old_address(const struct plan *p, vaddr_t at)
{
	const struct layout *l = &p->subject->record->layout;
	struct var_reading vr = diff_old_var_at(p->diff, at);

	if (module_region(p->subject->old, at) == REGION_TEXT)
		return layout_function(l, at);
	if (vr.inside == NO_TWIN && vr.end_of != NO_TWIN) {
		const struct var *v = &p->diff->old_vars.v[vr.end_of];

		return layout_data(l, v->addr) + v->size;
	}
	return layout_data(l, at);
}

struct err *initial_value_old(const struct plan *p, const struct initial_word *w,
			      uint64_t *ret, bool *known)
{
	vaddr_t at;

	*known = true;
	*ret = w->raw;
	if (!w->reloc)
		return NULL;
	if (local_target(w->reloc, &at)) {
		*ret = old_address(p, at);
		return NULL;
	}
	return external_value(p, w->reloc, ret, known);
}

// Two addresses mean the same when some reading of them is a pair at the same offset.
static bool same_object(const struct plan *p, vaddr_t old, vaddr_t new)
{
	const struct diff *d = p->diff;
	uint32_t fo = diff_old_func_at(d, old), fn = diff_new_func_at(d, new);

	if (fo != NO_TWIN || fn != NO_TWIN) {
		const struct func_pair *fp =
			fn != NO_TWIN ? diff_pair_of_new(d, fn) : NULL;

		return fo != NO_TWIN && fp && fp->old == fo &&
		       old - d->old_funcs.v[fo].addr == new - d->new_funcs.v[fn].addr;
	}
	struct var_reading vo = diff_old_var_at(d, old), vn = diff_new_var_at(d, new);
	const struct var_pair *vp =
		vn.inside != NO_TWIN ? diff_var_of_new(d, vn.inside) : NULL;

	if (vp && vp->old != NO_TWIN)
		return !p->home_moved[vp - d->vars.v] && vp->old == vo.inside &&
		       old - d->old_vars.v[vo.inside].addr ==
			       new - d->new_vars.v[vn.inside].addr;
	// One past the end of a variable that stays and keeps its size.
	const struct var_pair *end =
		vn.end_of != NO_TWIN ? diff_var_of_new(d, vn.end_of) : NULL;
	return end && end->old != NO_TWIN && end->old == vo.end_of &&
	       !p->home_moved[end - d->vars.v] &&
	       d->old_vars.v[vo.end_of].size == d->new_vars.v[vn.end_of].size;
}

bool initial_equal(const struct plan *p, const struct initial_word *old,
		   const struct initial_word *new)
{
	vaddr_t a, b;

	if (!old->reloc || !new->reloc)
		return !old->reloc && !new->reloc && old->raw == new->raw;
	bool local_old = local_target(old->reloc, &a),
	     local_new = local_target(new->reloc, &b);
	if (local_old != local_new)
		return false;
	if (!local_old)
		return old->reloc->type == new->reloc->type &&
		       old->reloc->addend == new->reloc->addend &&
		       old->reloc->name &&new->reloc->name &&
		       !strcmp(old->reloc->name, new->reloc->name);
	struct var_reading vo = diff_old_var_at(p->diff, a),
			   vn = diff_new_var_at(p->diff, b);
	const char *s = initial_string(p->subject->old, old);
	const char *t = initial_string(p->new, new);
	if (vo.inside == NO_TWIN && vn.inside == NO_TWIN && s && t)
		return !strcmp(s, t);
	return same_object(p, a, b);
}
