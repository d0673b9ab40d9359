// SPDX-License-Identifier: LGPL-2.1-or-later
// Whether a program makes stacks that no thread is on, as far as its own code tells.
#include <string.h>

#include "update/hidden_impl.h"

static bool is_one_of(const char *name, const char *const *names)
{
	for (; name && *names; names++)
		if (!strcmp(name, *names))
			return true;
	return false;
}

static const char *const switches[] = {"makecontext", "swapcontext", "setcontext", NULL};
static const char *const savers[] = {"setjmp",	    "_setjmp",	  "sigsetjmp",
				     "__sigsetjmp", "getcontext", NULL};

static const char *called(const struct module *m, const struct insn *in)
{
	vaddr_t slot = in->target;

	if (in->ref == REF_PLT && !plt_entry_slot(m, in->target, &slot))
		return NULL;
	if (in->ref != REF_PLT && in->ref != REF_GOT)
		return NULL;
	const struct reloc *r = module_reloc_at(m, slot);
	return r ? r->name : NULL;
}

// A jump buffer matters only when it leads back into a function that changed.
static bool by_plan(const struct plan *p)
{
	const struct module *old = p->subject->old;

	vec_for_each(r, &old->relocs)
		if (is_one_of(r->name, switches))
			return true;
	vec_for_each(fp, &p->diff->funcs) {
		if (fp->old == NO_TWIN || fp->verdict == FUNC_SAME)
			continue;
		vec_for_each(in, &p->diff->old_funcs.v[fp->old].body.insns)
			if (is_one_of(called(old, in), savers))
				return true;
	}
	return false;
}

bool hidden_is_possible(const struct judge *j)
{
	vec_for_each(u, &j->units)
		if (by_plan(u->p))
			return true;
	return false;
}
