// SPDX-License-Identifier: LGPL-2.1-or-later
// Two programs made by the compiler and their diff, for the unit tests of diff/.
#pragma once

#include "diff/diff.h"
#include "tests/unit/compile.h"

struct diff_pair {
	struct compile_dir dir;
	struct module *old, *new;
	struct diff *d;
};

static inline void diff_pair_free(struct diff_pair *p)
{
	diff_free(p->d);
	module_close(p->old);
	module_close(p->new);
	compile_dir_remove(&p->dir);
}

static inline struct diff_pair diff_pair_make(const char *old_cc, const char *old,
					      const char *new_cc, const char *new)
{
	struct diff_pair p = {.dir = compile_dir_make()};

	p.old = compile_module(&p.dir, "old", old_cc, "t.c", old);
	p.new = compile_module(&p.dir, "new", new_cc, "t.c", new);
	struct err *e = diff_programs(p.old, p.new, &(struct diff_options){0}, &p.d);
	ck_assert_msg(!e, "%s", e ? e->message : "");
	return p;
}

#define GCC "gcc -g -O2 -fno-inline -fno-ipa-icf"
#define DIFF_PAIR(name, old, new)                         \
	_cleanup_(diff_pair_free) struct diff_pair name = \
		diff_pair_make(GCC, old, GCC, new)

static inline const struct func_pair *pair_named(const struct diff_pair *p,
						 const char *name)
{
	vec_for_each(f, &p->d->funcs) {
		const struct func *fn = f->new != NO_TWIN ? &p->d->new_funcs.v[f->new]
							  : &p->d->old_funcs.v[f->old];

		if (!strcmp(fn->name, name))
			return f;
	}
	ck_abort_msg("no function %s", name);
}

static inline void verdict_is(const struct diff_pair *p, const char *name,
			      enum func_verdict want)
{
	const struct func_pair *f = pair_named(p, name);

	ck_assert_msg(f->verdict == want, "%s is %s, not %s (%s)", name,
		      func_verdict_name(f->verdict), func_verdict_name(want),
		      f->reason ? f->reason : "");
}

static inline const struct var_pair *var_named(const struct diff_pair *p, const char *name)
{
	vec_for_each(v, &p->d->vars) {
		const struct var *var = v->new != NO_TWIN ? &p->d->new_vars.v[v->new]
							  : &p->d->old_vars.v[v->old];

		if (!strcmp(var->name, name))
			return v;
	}
	ck_abort_msg("no variable %s", name);
}

static inline void var_is(const struct diff_pair *p, const char *name,
			  enum var_verdict want)
{
	const struct var_pair *v = var_named(p, name);

	ck_assert_msg(v->verdict == want, "%s is %s, not %s (%s)", name,
		      var_verdict_name(v->verdict), var_verdict_name(want),
		      v->detail ? v->detail : "");
}

// All is the same, the twins and readings too.
static inline void all_same(const struct diff_pair *p)
{
	vec_for_each(f, &p->d->funcs) {
		const struct func *fn = f->new != NO_TWIN ? &p->d->new_funcs.v[f->new]
							  : &p->d->old_funcs.v[f->old];

		ck_assert_msg(f->verdict == FUNC_SAME, "%s is %s: %s", fn->name,
			      func_verdict_name(f->verdict), f->reason ? f->reason : "");
	}
	vec_for_each(v, &p->d->vars) {
		const struct var *var = v->new != NO_TWIN ? &p->d->new_vars.v[v->new]
							  : &p->d->old_vars.v[v->old];

		ck_assert_msg(v->verdict == VAR_SAME, "%s is %s", var->name,
			      var_verdict_name(v->verdict));
	}
	ck_assert_uint_eq(p->d->facts.n, 0);
}
