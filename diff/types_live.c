// SPDX-License-Identifier: LGPL-2.1-or-later
// Of which types can data be alive in a process: those of static variables, those that any pointer other
// than a parameter leads to (the heap), and all that these contain. Types of local variables whose
// pointers are only passed on live on the stack of functions that are running.
#include "diff/types_internal.h"

#include <dwarf.h>

#include "util/arena.h"
#include "util/cleanup.h"

struct live_walk {
	struct type_side *s;
	VEC(uint32_t) queue; // definitions whose members are to be marked
};

static struct err *mark_def(struct live_walk *w, uint32_t def, uint32_t via)
{
	struct type_def *t = &w->s->defs.v[def];

	if (t->live)
		return NULL;
	t->live = true;
	t->via = via;
	return vec_push(&w->queue, def);
}

// A declaration stands for every definition of its name.
static struct err *mark(struct live_walk *w, const struct die *e, uint32_t via)
{
	uint32_t def = type_def_of(w->s, e);

	if (!(e->flags & DIE_DECLARATION))
		return def == NO_TYPE ? NULL : mark_def(w, def, via);
	for (; def != NO_TYPE; def = w->s->defs.v[def].same_name)
		TRY(mark_def(w, def, via));
	return NULL;
}

static bool points(const struct die *e)
{
	return die_is_pointer(e) || e->tag == DW_TAG_ptr_to_member_type;
}

// Marks what a type leads to through a pointer, and with `by_value` the type itself.
static struct err *mark_type(struct live_walk *w, uint64_t off, bool by_value,
			     uint32_t via)
{
	for (int depth = 0; depth < MAX_TYPE_DEPTH; depth++) {
		const struct die *e = type_strip(w->s->d, off);

		if (!e)
			return NULL;
		if (points(e))
			by_value = true;
		else if (e->tag != DW_TAG_array_type)
			return by_value ? mark(w, e, via) : NULL;
		off = e->type;
	}
	return NULL;
}

// The copy of a static variable in an inlined function has its type at its origin only.
static uint64_t declared_type(const struct dies *d, const struct die *e)
{
	return e->type || !(e->flags & DIE_STATIC) ? e->type : dies_origin(d, e)->type;
}

static struct err *mark_members(struct live_walk *w, uint32_t def)
{
	const struct dies *d = w->s->d;
	const struct die *record = &d->dies.v[w->s->defs.v[def].die];

	// All that stands inside, so that members of anonymous members are found too. A type that is
	// only declared inside is marked without need, which is the safe side.
	for (uint32_t i = dies_index(d, record) + 1; i < record->next; i++) {
		const struct die *c = &d->dies.v[i];

		if (c->tag == DW_TAG_member || c->tag == DW_TAG_inheritance)
			TRY(mark_type(w, c->type, true, i));
	}
	return NULL;
}

struct err *types_mark_live(struct type_side *s)
{
	struct live_walk w = {.s = s};
	struct err *e = NULL;

	vec_for_each(die, &s->d->dies) {
		bool is_static = die->tag == DW_TAG_variable &&
				 ((die->flags & DIE_STATIC) || !(die->flags & DIE_LOCAL));

		if (die->tag == DW_TAG_member || die->tag == DW_TAG_variable ||
		    die->tag == DW_TAG_subprogram || die->tag == DW_TAG_subroutine_type)
			e = mark_type(&w, declared_type(s->d, die), is_static,
				      dies_index(s->d, die));
		if (e)
			break;
	}
	for (size_t i = 0; i < w.queue.n && !e; i++)
		e = mark_members(&w, w.queue.v[i]);
	vec_free(&w.queue);
	return e;
}

const char *type_via_text(struct types *t, const struct type_side *s,
			  const struct type_def *def)
{
	const struct die *e = def->via == NO_DIE ? NULL : &s->d->dies.v[def->via], *up;
	const char *name;

	if (!e)
		return NULL;
	name = dies_origin(s->d, e)->name;
	if (!name)
		name = "(unnamed)";
	up = dies_parent(s->d, e);
	switch (e->tag) {
	case DW_TAG_variable:
		return arena_printf(&t->strings, "variable %s", name);
	case DW_TAG_subprogram:
		return arena_printf(&t->strings, "the return value of %s()", name);
	case DW_TAG_subroutine_type:
		return "the return value of a function type";
	default:
		return arena_printf(&t->strings, "member %s of %s", name,
				    up && up->name ? up->name : "a type");
	}
}
