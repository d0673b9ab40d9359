// SPDX-License-Identifier: LGPL-2.1-or-later
// What the two files alone tell against an update.
#include <stdio.h>
#include <string.h>

#include "diff/flow.h"
#include "update/plan.h"
#include "util/path.h"

static const struct {
	enum module_change kind;
	const char *code;
	const char *text; // object, detail
} fact_refusals[] = {
	{CHANGE_NEEDED_ADDED, "needed-added",
	 "NEW needs the library %s, which OLD does not%s%s"},
	{CHANGE_TLS, "tls-changed", "the layout of thread-local storage changed: %s%s%s"},
	{CHANGE_CONSTRUCTOR, "constructor",
	 "NEW has a constructor that would not run: %s%s%s"},
	{CHANGE_COPY_RELOC, "copy-reloc",
	 "NEW refers directly to the library variable %s, which OLD does not%s%s"},
	{CHANGE_ICF, "icf",
	 "functions that shared one address in OLD differ in NEW: %s%s%s"},
	{CHANGE_IFUNC, "ifunc", "the program's own IFUNC changed: %s%s%s"},
};

// A library that the process has anyway (another one needed it) is no new one.
static bool is_loaded(const struct subject *s, const char *name)
{
	vec_for_each(l, &s->target->links.v) {
		if (!strcmp(path_base(l->name), name))
			return true;
	}
	return false;
}

static struct err *check_facts(const struct plan *p)
{
	vec_for_each(f, &p->diff->facts) {
		if (f->kind == CHANGE_NEEDED_ADDED && is_loaded(p->subject, f->object))
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(fact_refusals); i++)
			if (fact_refusals[i].kind == f->kind) {
				char text[512];

				// the formats are the three-string ones of the table above
				snprintf(text, sizeof(text), fact_refusals[i].text,
					 f->object ? f->object : "", f->detail ? ": " : "",
					 f->detail ? f->detail : "");
				return err_refuse(fact_refusals[i].code, f->object, "%s",
						  text);
			}
	}
	return NULL;
}

// What a constructor did when the process started is done, and its new version does not run.
static struct err *note_constructors(struct plan *p)
{
	const struct module *new = p->new;

	for (size_t i = module_reloc_lower_bound(new, new->init_array);
	     i < new->relocs.n &&new->relocs.v[i].addr - new->init_array <
	     new->init_array_size;
	     i++) {
		const struct reloc *r = &new->relocs.v[i];
		uint32_t f = diff_new_func_at(
			p->diff, r->type == R_X86_64_RELATIVE
					 ? (vaddr_t)r->addend
					 : r->sym_addr + (uint64_t)r->addend);
		const struct func_pair *fp =
			f == NO_TWIN ? NULL : diff_pair_of_new(p->diff, f);

		if (fp && fp->old != NO_TWIN && fp->verdict != FUNC_SAME)
			TRY(plan_note(p,
				      "constructor %s changed: it ran when the process "
				      "started and does not run again",
				      p->diff->new_funcs.v[f].name));
	}
	return NULL;
}

static const char *type_code(enum type_verdict v)
{
	switch (v) {
	case TYPE_SHIFTED:
		return "type-shifted";
	case TYPE_GROWN:
		return "type-grown";
	case TYPE_SHRUNK:
		return "type-shrunk";
	case TYPE_MEANING:
		return "type-meaning";
	case TYPE_HOLE:
		return "type-hole";
	case TYPE_SAME:
	case TYPE_RENAMED:
	case TYPE_STACK_ONLY:
	case TYPE_ADDED:
	case TYPE_REMOVED:
		break;
	}
	return "type-changed";
}

static struct err *refuse_type(const struct type_change *c)
{
	char object[256];

	snprintf(object, sizeof(object), "%s%s%s", c->name, c->member ? "." : "",
		 c->member ? c->member : "");
	return err_refuse(
		type_code(c->verdict), object, "%s %s: %s%s%s%s", c->name,
		type_verdict_name(c->verdict), c->detail ? c->detail : "layout differs",
		c->via ? " (live through " : "", c->via ? c->via : "", c->via ? ")" : "");
}

static struct err *check_types(struct plan *p, const struct plan_options *opt)
{
	const struct type_report *r = &p->diff->types;

	if (!r->old_has_dwarf || !r->new_has_dwarf)
		return err_refuse("no-debug-info",
				  r->old_has_dwarf ? p->new->path : p->subject->old->path,
				  "%s has no debug information, so the layout of its "
				  "data cannot be "
				  "compared: give its debug file with --debug DIR",
				  r->old_has_dwarf ? p->new->path : p->subject->old->path);
	vec_for_each(c, &r->changes) {
		if (c->verdict == TYPE_HOLE) {
			if (!opt->allow_holes && c->live)
				return refuse_type(c);
			TRY(plan_note(p, "%s: %s", c->name, c->detail));
		} else if (type_change_refuses(c)) {
			return refuse_type(c);
		} else if (c->verdict == TYPE_RENAMED || c->verdict == TYPE_STACK_ONLY) {
			TRY(plan_note(p, "%s %s: %s", c->name,
				      type_verdict_name(c->verdict),
				      c->detail ? c->detail : ""));
		}
	}
	return NULL;
}

// The compiler may take a static variable apart (clang's scalar replacement, an int that became a flag): what
// its pieces mean stands in the code, and they have no type. Only code that did not change reads them right.
static bool is_piece(const struct var *v)
{
	return v->local && region_writable(v->region) && !v->type_die &&
	       strchr(v->name, '.') && !v->linker &&
	       !(v->file && strstr(v->file, "crtstuff"));
}

static struct err *check_piece(const struct diff *d, const struct var *v)
{
	for (uint32_t i = 0; i < d->new_funcs.n; i++) {
		const struct func_pair *fp = diff_pair_of_new(d, i);

		if (fp && fp->verdict == FUNC_SAME)
			continue;
		vec_for_each(in, &d->new_funcs.v[i].body.insns)
			if (in->ref != REF_NONE && in->target >= v->addr &&
			    in->target < v->addr + v->size)
				return err_refuse("var-type", v->name,
						  "the compiler has taken the variable "
						  "%s apart, and "
						  "%s, which uses it, changed: what it "
						  "holds cannot "
						  "be compared",
						  v->name, d->new_funcs.v[i].name);
	}
	return NULL;
}

static struct err *check_variables(const struct diff *d)
{
	vec_for_each(vp, &d->vars) {
		if (vp->old == NO_TWIN || vp->new == NO_TWIN)
			continue;
		const struct var *old = &d->old_vars.v[vp->old],
				 *new = &d->new_vars.v[vp->new];

		if (vp->type_changed_meaning && region_writable(old->region))
			return err_refuse("var-type", new->name,
					  "variable %s has another type: %s became %s, "
					  "so its value "
					  "may mean something else",
					  new->name,
					  old->type_name ? old->type_name : "unknown",
					  new->type_name ? new->type_name : "unknown");
		if (is_piece(new))
			TRY(check_piece(d, new));
	}
	return NULL;
}

static bool has_function(const struct plan *p, const char *name)
{
	vec_for_each(f, &p->diff->old_funcs)
		if (!strcmp(f->name, name))
			return true;
	return false;
}

static struct err *check_name(struct plan *const *plans, size_t n, const char *option,
			      const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (has_function(plans[i], name))
			return NULL;
	return err_with(err_new(ERR_USAGE, "%s: %s has no function %s", option,
				plans[0]->subject->old->path, name),
			"no-such-function", name);
}

// The functions named by the user must be functions of one of the modules.
struct err *preflight_names(struct plan *const *plans, size_t n,
			    const struct plan_options *opt)
{
	for (size_t i = 0; i < opt->n_keep_old; i++)
		TRY(check_name(plans, n, "--keep-old", opt->keep_old[i]));
	return opt->at ? check_name(plans, n, "--at", opt->at) : NULL;
}

// Every function of that name must be fit to go on in its old body.
static struct err *check_keep_old(const struct plan *p, const char *name)
{
	if (!has_function(p, name))
		return NULL; // of another module, or of none
	if (subject_unwinds(p->subject))
		return err_refuse(
			"keep-old-unsafe", name,
			"%s cannot go on in its old body: C++ exceptions or cleanups "
			"may unwind the program's stacks, and they are not found through "
			"old code",
			name);
	for (uint32_t i = 0; i < p->diff->old_funcs.n; i++) {
		bool fine;
		char why[256];

		if (strcmp(p->diff->old_funcs.v[i].name, name))
			continue;
		if (p->diff->old_funcs.v[i].body.branches_into_entry)
			return err_refuse(
				"keep-old-unsafe", name,
				"%s cannot go on in its old body: it branches back "
				"into its first bytes, where the jump to the new "
				"body goes",
				name);
		TRY(frame_keepable(p->diff, i, &fine, why, sizeof(why)));
		if (!fine)
			return err_refuse("keep-old-unsafe", name,
					  "%s cannot go on in its old body: %s", name,
					  why);
	}
	return NULL;
}

static struct err *check_options(const struct plan *p, const struct plan_options *opt)
{
	for (size_t i = 0; i < opt->n_keep_old; i++)
		TRY(check_keep_old(p, opt->keep_old[i]));
	if (opt->at && subject_unwinds(p->subject))
		return err_with(
			err_new(ERR_UNSUPPORTED,
				"--at %s: C++ exceptions or cleanups may unwind the "
				"program's stacks, and they cannot pass a gate",
				opt->at),
			"at-exceptions", opt->at);
	return NULL;
}

// Start-up code that every program has, and main: no sign of kinship.
static bool is_common(const char *name)
{
	static const char *const names[] = {"_start",
					    "_init",
					    "_fini",
					    "main",
					    "frame_dummy",
					    "deregister_tm_clones",
					    "register_tm_clones",
					    "__do_global_dtors_aux"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

enum { NEW_FUNCS_MANY = 8 };

// A build of the same program has at least a third of its functions.
static struct err *check_kinship(const struct plan *p)
{
	size_t own = 0, own_new = 0, paired = 0;

	for (uint32_t i = 0; i < p->diff->old_funcs.n; i++) {
		if (is_common(p->diff->old_funcs.v[i].name))
			continue;
		const struct func_pair *fp = diff_pair_of_old(p->diff, i);
		own++;
		paired += fp && fp->new != NO_TWIN;
	}
	vec_for_each(f, &p->diff->new_funcs)
		own_new += !is_common(f->name);
	// Of a very small program the new functions must tell.
	if ((own && paired < (own + 2) / 3) ||
	    (own_new > NEW_FUNCS_MANY && paired < own_new / 8))
		return err_refuse(
			"not-the-program",
			p->new->path, "%s has only %zu of the %zu functions of %s: it is another program",
			p->new->path, paired, own, p->subject->old->path);
	return NULL;
}

static const struct func *user_of(const struct diff *d, const struct section *sec)
{
	vec_for_each(f, &d->new_funcs)
		vec_for_each(in, &f->body.insns)
			if (in->ref == REF_DATA && in->target - sec->addr < sec->size)
				return f;
	return NULL;
}

// A restartable sequence is known to the kernel by a descriptor without a symbol, which names places inside its
// function. Code of NEW that used OLD's descriptor would not be restarted.
static struct err *check_rseq(const struct diff *d)
{
	vec_for_each(sec, &d->new->alloc_sections) {
		if (strcmp(sec->name, "__rseq_cs") || !sec->size)
			continue;
		const struct func *f = user_of(d, sec);
		const char *name = f ? f->name : d->new->path;

		return err_refuse(
			"rseq-section", name,
			"%s has a restartable sequence (rseq) of its own, which "
			"molt cannot move",
			name);
	}
	return NULL;
}

struct err *preflight(struct plan *p, const struct plan_options *opt)
{
	if (p->diff->by_shape)
		return err_refuse(
			"stripped", p->new->path,
			"functions cannot be named for certain: give the separate debug "
			"files with --debug DIR");
	TRY(check_kinship(p));
	TRY(check_options(p, opt));
	TRY(check_facts(p));
	TRY(note_constructors(p));
	TRY(check_types(p, opt));
	TRY(check_rseq(p->diff));
	TRY(check_variables(p->diff));
	return check_tables(p->diff);
}
