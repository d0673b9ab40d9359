// SPDX-License-Identifier: LGPL-2.1-or-later
// Of which types can data be alive in a process: those of static variables, those that any pointer other
// than a parameter leads to (the heap), and all that these contain. Types of local variables whose
// pointers are only passed on live on the stack of functions that are running. A record that is neither is
// reached by casts only, as redis does with what it keeps behind a dictionary entry: it may be anywhere.
#include "diff/types_internal.h"

#include <dwarf.h>

#include "util/arena.h"
#include "util/cleanup.h"

struct live_walk {
	struct type_side *s;
	VEC(uint32_t) queue; // definitions whose members are to be marked
};

static struct err *mark_def(struct live_walk *w, uint32_t def, enum type_life life,
			    uint32_t via)
{
	struct type_def *t = &w->s->defs.v[def];

	if (t->life >= life)
		return NULL;
	t->life = life;
	t->via = via;
	return vec_push(&w->queue, def);
}

// A declaration stands for every definition of its name.
static struct err *mark(struct live_walk *w, const struct die *e, enum type_life life,
			uint32_t via)
{
	uint32_t def = type_def_of(w->s, e);

	if (!(e->flags & DIE_DECLARATION))
		return def == NO_TYPE ? NULL : mark_def(w, def, life, via);
	for (; def != NO_TYPE; def = w->s->defs.v[def].same_name)
		TRY(mark_def(w, def, life, via));
	return NULL;
}

static bool points(const struct die *e)
{
	return die_is_pointer(e) || e->tag == DW_TAG_ptr_to_member_type;
}

// Marks what a type is made of with the life of the data itself, and what it points to as live.
static struct err *mark_type(struct live_walk *w, uint64_t off, enum type_life life,
			     uint32_t via)
{
	for (int depth = 0; depth < MAX_TYPE_DEPTH; depth++) {
		const struct die *e = type_strip(w->s->d, off);

		if (!e)
			return NULL;
		if (points(e))
			life = LIFE_LIVE;
		else if (e->tag != DW_TAG_array_type)
			return life ? mark(w, e, life, via) : NULL;
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
			TRY(mark_type(w, c->type, w->s->defs.v[def].life, i));
	}
	return NULL;
}

static enum type_life life_of(const struct die *e)
{
	if (e->tag == DW_TAG_member)
		return LIFE_UNKNOWN; // that of its record
	if (e->tag != DW_TAG_variable)
		return LIFE_STACK; // a function's result by value
	return (e->flags & DIE_STATIC) || !(e->flags & DIE_LOCAL) ? LIFE_LIVE : LIFE_STACK;
}

static bool is_use(const struct die *e)
{
	return e->tag == DW_TAG_member || e->tag == DW_TAG_variable ||
	       e->tag == DW_TAG_subprogram || e->tag == DW_TAG_subroutine_type;
}

static bool is_lasting(const struct die *e)
{
	return e->tag == DW_TAG_variable && life_of(e) == LIFE_LIVE;
}

// Lasting variables first: what is said of a type is the first use met, and a member of a list that leads to the
// list itself says nothing.
static struct err *mark_uses(struct live_walk *w)
{
	const struct dies *d = w->s->d;

	for (int others = 0; others < 2; others++)
		vec_for_each(e, &d->dies)
			if (is_use(e) && is_lasting(e) != others)
				TRY(mark_type(w, declared_type(d, e), life_of(e),
					      dies_index(d, e)));
	return NULL;
}

static struct err *mark_queue(struct live_walk *w, size_t *done)
{
	for (; *done < w->queue.n; ++*done)
		TRY(mark_members(w, w->queue.v[*done]));
	return NULL;
}

static struct err *mark_all(struct live_walk *w)
{
	size_t done = 0;

	TRY(mark_uses(w));
	TRY(mark_queue(w, &done));
	for (uint32_t i = 0; i < w->s->defs.n; i++)
		if (!w->s->defs.v[i].life &&
		    die_is_record(&w->s->d->dies.v[w->s->defs.v[i].die]))
			TRY(mark_def(w, i, LIFE_LIVE, NO_DIE));
	return mark_queue(w, &done);
}

struct err *types_mark_live(struct type_side *s)
{
	struct live_walk w = {.s = s};
	struct err *e = mark_all(&w);

	vec_free(&w.queue);
	return e;
}

const char *type_via_text(struct types *t, const struct type_side *s,
			  const struct type_def *def)
{
	const struct die *e = def->via == NO_DIE ? NULL : &s->d->dies.v[def->via], *up;
	const char *name;

	if (!e)
		return "casts only, so it may be anywhere";
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
