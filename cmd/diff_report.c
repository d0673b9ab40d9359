// SPDX-License-Identifier: GPL-2.0-or-later
// molt diff for people: counts, then names, the largest concern first.
#include "cmd/diff_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cmd/text.h"
enum { SHORT_LIST = 20, NAME_WIDTH = 36 };

const struct func *diff_func(const struct diff *d, const struct func_pair *p)
{
	return p->new == NO_TWIN ? &d->old_funcs.v[p->old] : &d->new_funcs.v[p->new];
}

const struct var *diff_var(const struct diff *d, const struct var_pair *p)
{
	return p->new == NO_TWIN ? &d->old_vars.v[p->old] : &d->new_vars.v[p->new];
}

bool diff_func_pos(const struct diff *d, const struct func_pair *p, struct source_pos *ret)
{
	const struct dwarf_names *names =
		p->new == NO_TWIN ? &d->old_names : &d->new_names;
	const struct func *f = diff_func(d, p);
	const struct dwarf_func *at = dwarf_func_at(names, f->addr);

	if (at && at->decl_file && at->decl_line) {
		*ret = (struct source_pos){at->decl_file, at->decl_line};
		return true;
	}
	return dwarf_names_line(names, p->new == NO_TWIN ? d->old : d->new, f->addr, ret);
}

struct diff_certainty diff_certainty(const struct diff *d)
{
	struct diff_certainty c = {};

	vec_for_each(p, &d->funcs) {
		if (p->old == NO_TWIN || p->new == NO_TWIN)
			continue;
		c.pairs++;
		c.certain += p->confidence >= 1;
		if (p->confidence < 1 && (!c.least || p->confidence < c.least->confidence))
			c.least = p;
	}
	return c;
}

const char *diff_cause_name(enum func_cause cause)
{
	static const char *const names[] = {
		[CAUSE_NONE] = "none", [CAUSE_LINE] = "line", [CAUSE_VERSION] = "version"};

	return names[cause];
}

const char *diff_fact_name(enum module_change kind)
{
	static const char *const names[] = {
		[CHANGE_NEEDED_ADDED] = "needed_added",
		[CHANGE_NEEDED_REMOVED] = "needed_removed",
		[CHANGE_TLS] = "tls",
		[CHANGE_CONSTRUCTOR] = "constructor",
		[CHANGE_COPY_RELOC] = "copy_reloc",
		[CHANGE_ICF] = "icf",
		[CHANGE_IFUNC] = "ifunc",
	};

	return names[kind];
}

// "7 changed", with a comma in front of all but the first of a line; nothing for 0.
static void print_count(bool *first, size_t n, const char *what)
{
	if (!n)
		return;
	printf("%s%zu %s", *first ? "" : ", ", n, what);
	*first = false;
}

static void print_function_counts(const struct diff *d)
{
	size_t line = 0, version = 0;
	bool first = true;

	vec_for_each(p, &d->funcs) {
		line += p->cause == CAUSE_LINE;
		version += p->cause == CAUSE_VERSION;
	}
	printf("functions  ");
	print_count(&first, d->count[FUNC_SAME], "same");
	print_count(&first, d->count[FUNC_CODE], "with other code");
	print_count(&first, d->count[FUNC_REF], "ref-only");
	print_count(&first, d->count[FUNC_IMM], "imm-only");
	print_count(&first, d->count[FUNC_ADDED], "added");
	print_count(&first, d->count[FUNC_REMOVED], "removed");
	printf("%s\n", first ? "none" : "");
	first = true;
	if (!line && !version)
		return;
	printf("           of these ");
	print_count(&first, line, "differ in __LINE__ only");
	print_count(&first, version, "in a version, date or build path only");
	putchar('\n');
}

static void print_variable_counts(const struct diff *d)
{
	static const char *const words[] = {
		[VAR_SAME] = "same",	   [VAR_INIT] = "with another initial value",
		[VAR_RESIZED] = "resized", [VAR_ADDED] = "added",
		[VAR_REMOVED] = "removed",
	};
	size_t count[VAR_REMOVED + 1] = {};
	bool first = true;

	vec_for_each(p, &d->vars)
		count[p->verdict]++;
	printf("variables  ");
	for (size_t i = 0; i < ARRAY_SIZE(count); i++)
		print_count(&first, count[i], words[i]);
	printf("%s\n", first ? "none" : "");
}

static void print_type_counts(const struct diff *d)
{
	const struct type_report *r = &d->types;
	size_t count[TYPE_SHIFTED + 1] = {};
	bool first = true;

	if (!r->old_has_dwarf || !r->new_has_dwarf) {
		printf("types      not compared: %s no debug information\n",
		       r->old_has_dwarf	  ? "NEW has"
		       : r->new_has_dwarf ? "OLD has"
					  : "both programs have");
		return;
	}
	vec_for_each(c, &r->changes)
		count[c->verdict]++;
	printf("types      ");
	print_count(&first, r->same, "same");
	for (size_t v = TYPE_SHIFTED; v > TYPE_SAME; v--)
		print_count(&first, count[v],
			    v == TYPE_MEANING	   ? "with another meaning"
			    : v == TYPE_STACK_ONLY ? "changed on the stack only"
			    : v == TYPE_HOLE	   ? "using or leaving a hole"
			    : v == TYPE_RENAMED	   ? "with a renamed member"
						: type_verdict_name((enum type_verdict)v));
	printf("%s\n", first ? "none" : "");
}

static void print_certainty(const struct diff *d)
{
	struct diff_certainty c = diff_certainty(d);

	if (!d->by_shape)
		return;
	printf("\nNo symbols: functions were paired by their shape and the calls between "
	       "them.\n"
	       "%zu of %zu pairs are certain",
	       c.certain, c.pairs);
	if (c.least)
		printf("; the least certain is %s (%.0f %%)",
		       shown(diff_func(d, c.least)->name),
		       (double)c.least->confidence * 100);
	printf(".\n");
}

static void print_type(const struct type_change *c)
{
	printf("  %s", shown(c->name));
	if (c->file)
		printf("  %s:%d", shown(c->file), c->line);
	printf("\n      %s%s%s", type_verdict_name(c->layout), c->detail ? ": " : "",
	       c->detail ? shown(c->detail) : "");
	if (c->old_size != c->new_size && c->old_size && c->new_size)
		printf(" (%lu to %lu bytes)", c->old_size, c->new_size);
	if (type_change_refuses(c) && c->via)
		printf("\n      live through %s", shown(c->via));
	putchar('\n');
}

static void print_heading(bool *done, const char *text)
{
	if (!*done)
		printf("\n%s\n", text);
	*done = true;
}

static void print_refused_types(const struct diff *d)
{
	bool done = false;

	vec_for_each(c, &d->types.changes) {
		if (!type_change_refuses(c))
			continue;
		print_heading(
			&done,
			"Types that data in a running process can have, and an update "
			"refuses:");
		print_type(c);
	}
}

// Added and removed types matter to nobody but the curious.
static void print_other_types(const struct diff *d, bool verbose)
{
	bool done = false;

	vec_for_each(c, &d->types.changes) {
		if (type_change_refuses(c) ||
		    (!verbose && (c->verdict == TYPE_ADDED || c->verdict == TYPE_REMOVED)))
			continue;
		print_heading(&done, "Types that differ without harm:");
		print_type(c);
	}
}

static void print_facts(const struct diff *d)
{
	bool done = false;

	vec_for_each(f, &d->facts) {
		print_heading(&done, "The program as a whole:");
		printf("  %s\n", shown(f->detail));
	}
}

static const char *verdict_words(const struct var_pair *p)
{
	static const char *const words[] = {
		[VAR_SAME] = "same",	   [VAR_INIT] = "initial",
		[VAR_RESIZED] = "resized", [VAR_ADDED] = "added",
		[VAR_REMOVED] = "removed",
	};

	return p->type_changed_meaning ? "meaning" : words[p->verdict];
}

static void print_variable(const struct diff *d, const struct var_pair *p)
{
	const struct var *v = diff_var(d, p);
	int width = printf("  %-8s %s%s", verdict_words(p), v->is_const ? "const " : "",
			   shown(v->name));

	if (v->local && v->file)
		width += printf(" (%s)", shown(v->file));
	if (p->detail)
		printf("%*s%s", width < NAME_WIDTH ? NAME_WIDTH - width : 2, "",
		       shown(p->detail));
	else if (p->written_at_start_only)
		printf("%*sonly start-up code writes it: it would keep its initial value",
		       width < NAME_WIDTH ? NAME_WIDTH - width : 2, "");
	putchar('\n');
}

static void print_rest(size_t n)
{
	if (n > SHORT_LIST)
		printf("  ... and %zu more; -v lists them all\n", n - SHORT_LIST);
}

static void print_variables(const struct diff *d, bool verbose)
{
	static const enum var_verdict order[] = {VAR_RESIZED, VAR_REMOVED, VAR_INIT,
						 VAR_ADDED};
	bool done = false;

	vec_for_each(p, &d->vars)
		if (p->type_changed_meaning) {
			print_heading(&done, "Variables:");
			print_variable(d, p);
		}
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		size_t n = 0;

		vec_for_each(p, &d->vars) {
			if (p->verdict != order[i] || p->type_changed_meaning)
				continue;
			print_heading(&done, "Variables:");
			if (verbose || n < SHORT_LIST)
				print_variable(d, p);
			n++;
		}
		if (!verbose)
			print_rest(n);
	}
}

static void print_function(const struct diff *d, const struct func_pair *p, bool verbose)
{
	const struct func *f = diff_func(d, p);
	struct source_pos pos;
	int width = printf("  %s", shown(f->name));

	if (diff_func_pos(d, p, &pos))
		printf("%*s%s:%d", width < NAME_WIDTH ? NAME_WIDTH - width : 2, "",
		       shown(pos.file), pos.line);
	else if (f->file)
		printf("%*s%s", width < NAME_WIDTH ? NAME_WIDTH - width : 2, "",
		       shown(f->file));
	if (p->cause == CAUSE_LINE)
		printf("  [__LINE__]");
	else if (p->cause == CAUSE_VERSION)
		printf("  [version, date or path]");
	if (d->by_shape && p->old != NO_TWIN && p->new != NO_TWIN && p->confidence < 1)
		printf("  [%.0f %% sure]", (double)p->confidence * 100);
	putchar('\n');
	if (verbose && p->reason)
		printf("      %s\n", shown(p->reason));
}

static void print_functions(const struct diff *d, bool verbose)
{
	static const struct {
		enum func_verdict verdict;
		const char *heading;
	} order[] = {
		{FUNC_CODE, "Functions whose code differs:"},
		{FUNC_REF, "Functions that only refer to something else:"},
		{FUNC_IMM, "Functions that only have another constant:"},
		{FUNC_REMOVED, "Functions that were removed:"},
		{FUNC_ADDED, "Functions that were added:"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		bool all = verbose || order[i].verdict == FUNC_CODE, done = false;
		size_t n = 0;

		vec_for_each(p, &d->funcs) {
			if (p->verdict != order[i].verdict)
				continue;
			print_heading(&done, order[i].heading);
			if (all || n < SHORT_LIST)
				print_function(d, p, verbose);
			n++;
		}
		if (!all)
			print_rest(n);
	}
}

// What the kind of the file alone tells against an update.
static void print_kind(const struct module *m)
{
	const char *kind = NULL;

	if (!m->has_dynamic)
		kind = "statically linked";
	else if (m->type == ET_EXEC)
		kind = "not position independent";
	if (kind)
		printf("%s is %s: molt update would refuse it\n", shown(m->path), kind);
}

void diff_print(const struct diff *d, bool verbose)
{
	print_kind(d->old);
	print_kind(d->new);
	print_function_counts(d);
	print_variable_counts(d);
	print_type_counts(d);
	print_certainty(d);
	print_refused_types(d);
	print_facts(d);
	print_variables(d, verbose);
	print_functions(d, verbose);
	print_other_types(d, verbose);
}
