// SPDX-License-Identifier: LGPL-2.1-or-later
// What others ask of a finished diff.
#include "diff/side.h"

uint32_t diff_old_func_at(const struct diff *d, vaddr_t addr)
{
	return side_func_at(&d->index->old, addr);
}

uint32_t diff_new_func_at(const struct diff *d, vaddr_t addr)
{
	return side_func_at(&d->index->new, addr);
}

static const struct func_pair *func_pair_of(const struct diff *d, const uint32_t *index,
					    uint32_t i, size_t n)
{
	return i < n && index[i] != NO_TWIN ? &d->funcs.v[index[i]] : NULL;
}

const struct func_pair *diff_pair_of_old(const struct diff *d, uint32_t old_func)
{
	return func_pair_of(d, d->index->pair_of_old_func, old_func, d->old_funcs.n);
}

const struct func_pair *diff_pair_of_new(const struct diff *d, uint32_t new_func)
{
	return func_pair_of(d, d->index->pair_of_new_func, new_func, d->new_funcs.n);
}

static const struct var_pair *var_pair_of(const struct diff *d, const uint32_t *index,
					  uint32_t i, size_t n)
{
	return i < n && index[i] != NO_TWIN ? &d->vars.v[index[i]] : NULL;
}

const struct var_pair *diff_var_of_old(const struct diff *d, uint32_t old_var)
{
	return var_pair_of(d, d->index->pair_of_old_var, old_var, d->old_vars.n);
}

const struct var_pair *diff_var_of_new(const struct diff *d, uint32_t new_var)
{
	return var_pair_of(d, d->index->pair_of_new_var, new_var, d->new_vars.n);
}

struct var_reading diff_new_var_at(const struct diff *d, vaddr_t addr)
{
	return side_var_at(&d->index->new, addr);
}

struct var_reading diff_old_var_at(const struct diff *d, vaddr_t addr)
{
	return side_var_at(&d->index->old, addr);
}

bool diff_new_is_template(const struct diff *d, vaddr_t addr)
{
	return side_is_template(&d->index->new, addr);
}

const char *func_verdict_name(enum func_verdict v)
{
	static const char *const names[] = {
		[FUNC_SAME] = "same", [FUNC_IMM] = "imm_only", [FUNC_REF] = "ref_only",
		[FUNC_CODE] = "code", [FUNC_ADDED] = "added",  [FUNC_REMOVED] = "removed",
	};

	return names[v];
}

const char *var_verdict_name(enum var_verdict v)
{
	static const char *const names[] = {
		[VAR_SAME] = "same",	   [VAR_INIT] = "init_changed",
		[VAR_RESIZED] = "resized", [VAR_ADDED] = "added",
		[VAR_REMOVED] = "removed",
	};

	return names[v];
}
