// SPDX-License-Identifier: LGPL-2.1-or-later
// The report of all types of two programs.
#include "diff/types.h"

#include "diff/types_internal.h"
#include "util/arena.h"
#include "util/cleanup.h"

const char *type_verdict_name(enum type_verdict v)
{
	static const char *const names[] = {
		[TYPE_SAME] = "same",
		[TYPE_RENAMED] = "renamed",
		[TYPE_STACK_ONLY] = "stack_only",
		[TYPE_HOLE] = "hole",
		[TYPE_ADDED] = "added",
		[TYPE_REMOVED] = "removed",
		[TYPE_MEANING] = "meaning",
		[TYPE_SHRUNK] = "shrunk",
		[TYPE_GROWN] = "grown",
		[TYPE_SHIFTED] = "shifted",
	};

	return names[v];
}

bool type_change_refuses(const struct type_change *c)
{
	return c->live && c->verdict >= TYPE_MEANING;
}

struct err *types_begin(const struct dwarf_names *old, const struct dwarf_names *new,
			struct types **ret)
{
	_cleanup_(types_freep) struct types *t = calloc(1, sizeof(*t));

	if (!t)
		return err_nomem();
	t->old.d = old->dies;
	t->new.d = new->dies;
	TRY(types_collect(t, &t->old));
	TRY(types_collect(t, &t->new));
	TRY(types_pair_defs(t));
	*ret = take_ptr(t);
	return NULL;
}

bool types_step(struct types *t)
{
	// Unnamed types are compared anew wherever they stand, all others once.
	uint64_t enough = 64 * ((uint64_t)t->old.d->dies.n + t->new.d->dies.n) + (1 << 20);

	if (++t->steps > enough)
		t->endless = true;
	return !t->endless;
}

struct err *types_trouble(const struct types *t)
{
	if (t->no_memory)
		return err_nomem();
	if (!t->endless)
		return NULL;
	return err_with(err_new(ERR_CORRUPT, "the debugging information has types inside "
					     "each other without end"),
			"corrupt-elf", NULL);
}

void types_free(struct types *t)
{
	if (!t)
		return;
	type_side_deinit(&t->old);
	type_side_deinit(&t->new);
	arena_free(&t->strings);
	free(t);
}

void types_freep(struct types **t)
{
	types_free(*t);
}

struct err *types_pair(struct types *t, size_t old_die, size_t new_die,
		       struct type_difference *ret)
{
	*ret = (struct type_difference){};
	if (old_die && new_die)
		*ret = compare_types(t, old_die, new_die, 0);
	return types_trouble(t);
}

// Copies what outlives the comparison.
static const char *keep(struct type_report *r, const char *s, bool *failed)
{
	char *copy = s ? arena_strdup(&r->strings, s) : NULL;

	*failed |= s && !copy;
	return copy;
}

static struct err *push_change(struct types *t, struct type_report *r,
			       struct type_change c, const struct type_side *s,
			       const struct type_def *def)
{
	const struct die *e = &s->d->dies.v[def->die];
	bool failed = false;

	c.name = keep(r, type_def_title(t, s, def), &failed);
	c.file = *def->file ? keep(r, def->file, &failed) : NULL;
	c.line = e->decl_line > INT32_MAX ? 0 : (int)e->decl_line;
	c.member = keep(r, c.member, &failed);
	c.detail = keep(r, c.detail, &failed);
	c.via = keep(r, c.via, &failed);
	c.layout = c.verdict;
	if (!c.live && c.verdict >= TYPE_MEANING)
		c.verdict = TYPE_STACK_ONLY;
	if (failed || !c.name)
		return err_nomem();
	return vec_push(&r->changes, c);
}

static struct err *report_old(struct types *t, struct type_report *r, struct type_def *def)
{
	const struct die *e = &t->old.d->dies.v[def->die];
	struct type_change c = {.old_size = e->size};
	struct type_def *twin;

	if (def->twin == NO_TYPE) {
		c.verdict = TYPE_REMOVED;
		c.live = def->life == LIFE_LIVE;
		return push_change(t, r, c, &t->old, def);
	}
	twin = &t->new.defs.v[def->twin];
	if (def->own.verdict == TYPE_SAME) {
		r->same++;
		return NULL;
	}
	c.verdict = def->own.verdict;
	c.member = def->own.member;
	c.detail = def->own.detail;
	c.new_size = t->new.d->dies.v[twin->die].size;
	// The data was made by OLD. A type that only NEW's debug information shows to be on the heap may
	// have been there before behind casts.
	c.live = def->life == LIFE_LIVE || twin->life == LIFE_LIVE;
	if (c.live)
		c.via = def->life == LIFE_LIVE ? type_via_text(t, &t->old, def)
					       : type_via_text(t, &t->new, twin);
	return push_change(t, r, c, &t->new, twin);
}

// Comparing pointers can pair further types, whose names changed.
static void compare_all(struct types *t)
{
	for (bool more = true; more;) {
		more = false;
		vec_for_each(def, &t->old.defs) {
			if (def->twin == NO_TYPE || def->compared)
				continue;
			compare_defs(t, &t->old.d->dies.v[def->die],
				     &t->new.d->dies.v[t->new.defs.v[def->twin].die], 0);
			more = true;
		}
	}
}

static int compare_changes(const void *a, const void *b)
{
	const struct type_change *x = a, *y = b;
	int c = type_change_refuses(y) - type_change_refuses(x);

	if (!c)
		c = (int)y->verdict - (int)x->verdict;
	return c ? c : strcmp(x->name, y->name);
}

struct err *types_report(struct types *t, struct type_report *ret)
{
	_cleanup_(type_report_deinit) struct type_report r = {
		.old_has_dwarf = t->old.d->units.n,
		.new_has_dwarf = t->new.d->units.n,
	};

	if (r.old_has_dwarf && r.new_has_dwarf) {
		TRY(types_mark_live(&t->old));
		TRY(types_mark_live(&t->new));
		compare_all(t);
		vec_for_each(def, &t->old.defs)
			TRY(report_old(t, &r, def));
		vec_for_each(def, &t->new.defs) {
			struct type_change c = {
				.verdict = TYPE_ADDED,
				.new_size = t->new.d->dies.v[def->die].size,
			};

			if (def->twin == NO_TYPE)
				TRY(push_change(t, &r, c, &t->new, def));
		}
	}
	TRY(types_trouble(t));
	if (r.changes.n)
		qsort(r.changes.v, r.changes.n, sizeof(*r.changes.v), compare_changes);
	*ret = r;
	r = (struct type_report){};
	return NULL;
}

struct err *types_compare(const struct module *old, const struct module *new,
			  struct type_report *ret)
{
	_cleanup_(dwarf_names_deinit) struct dwarf_names a = {}, b = {};
	_cleanup_(types_freep) struct types *t = NULL;

	TRY(dies_read(old, &a.dies));
	TRY(dies_read(new, &b.dies));
	TRY(types_begin(&a, &b, &t));
	return types_report(t, ret);
}

void type_report_deinit(struct type_report *r)
{
	vec_free(&r->changes);
	arena_free(&r->strings);
}
