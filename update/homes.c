// SPDX-License-Identifier: LGPL-2.1-or-later
// Gives every variable and function of NEW its place in the process: data stays at home (design 2).
#include <stdlib.h>
#include <string.h>

#include "update/initial.h"
#include "update/pointers.h"

static struct err *set_home(struct plan *p, const struct var *v, taddr_t home)
{
	struct home h = {.addr = v->addr, .size = v->size, .home = home};

	return vec_push(&p->layout.homes, h);
}

static int by_addr(const void *a, const void *b)
{
	taddr_t x = *(const taddr_t *)a, y = *(const taddr_t *)b;

	return x < y ? -1 : x > y;
}

// The live starts of all variables of OLD, sorted: what a variable may not grow into.
struct occupancy {
	taddr_t *starts;
	size_t n;
};

static struct err *occupancy_read(const struct plan *p, struct occupancy *ret)
{
	const struct diff *d = p->diff;

	ret->starts = malloc((d->old_vars.n + 1) * sizeof(*ret->starts));
	if (!ret->starts)
		return err_nomem();
	vec_for_each(v, &d->old_vars)
		ret->starts[ret->n++] = layout_data(&p->subject->record->layout, v->addr);
	qsort(ret->starts, ret->n, sizeof(*ret->starts), by_addr);
	return NULL;
}

// Bytes from `home` to the next variable; 0 when it is the last one of its mapping.
static uint64_t room_at(const struct plan *p, const struct occupancy *o, taddr_t home)
{
	const struct mapping *m = maps_at(&p->subject->target->maps, home);

	for (size_t i = 0; i < o->n; i++)
		if (o->starts[i] > home && m && o->starts[i] < m->end)
			return o->starts[i] - home;
	return 0;
}

// A variable may grow in place into padding that nobody uses: all zero now, up to the next variable.
static struct err *can_grow(const struct plan *p, const struct occupancy *o,
			    const struct var *old, const struct var *new, taddr_t home,
			    bool *ret)
{
	uint8_t pad[64];
	uint64_t more = new->size - old->size;

	*ret = false;
	if (room_at(p, o, home) < new->size || more > sizeof(pad))
		return NULL;
	TRY(mem_read(p->subject->process->pid, home + old->size, pad, more));
	for (uint64_t i = 0; i < more; i++)
		if (pad[i])
			return NULL;
	*ret = true;
	return NULL;
}

// True when code of OLD takes the variable's address: then it may be anywhere.
static bool address_taken(const struct plan *p, const struct var *v)
{
	vec_for_each(f, &p->diff->old_funcs)
		vec_for_each(i, &f->body.insns)
			if ((i->flags & INSN_LEA) && i->target >= v->addr &&
			    i->target <= v->addr + v->size)
				return true;
	return false;
}

static struct err *refuse_resized(const struct var *old, const struct var *new,
				  const char *why)
{
	return err_refuse("var-resized", new->name,
			  "variable %s is resized from %lu to %lu bytes: it cannot grow "
			  "where it is "
			  "and %s",
			  new->name, old->size, new->size, why);
}

static struct err *place_resized(struct plan *p, const struct occupancy *o, uint32_t pair,
				 const struct var *old, const struct var *new,
				 taddr_t home)
{
	bool grows, searchable;
	taddr_t pointer;
	const char *user = NULL;

	if (!subject_is_exe(p->subject) && !old->local)
		TRY(resolve_user(p, old->name, &user));
	if (user)
		return refuse_resized(old, new, "another module refers to it");
	if (region_const(old->region) && region_const(new->region)) {
		p->home_moved[pair] = true;
		return NULL;
	}
	if (new->size < old->size)
		return set_home(p, new, home);
	TRY(can_grow(p, o, old, new, home, &grows));
	if (grows || home == p->layout.base + new->addr) // grew here before
		return set_home(p, new, home);
	// It moves, so nothing may point to it. Where code takes its address, a pointer may also be made
	// until the stop, and the search is done again there.
	struct moved_var m = {.pair = pair,
			      .from = home,
			      .to = p->layout.base + new->addr,
			      .search = address_taken(p, old)};
	if (m.search) {
		TRY(pointers_searchable(p, &searchable));
		if (!searchable)
			return refuse_resized(
				old, new,
				"there is too much memory to look for pointers to it "
				"inside the stop");
	}
	TRY(pointers_find(p, old, home, &pointer));
	if (pointer)
		return refuse_resized(old, new, "there are pointers to it");
	p->home_moved[pair] = true;
	return vec_push(&p->moved, m);
}

static struct err *place_variable(struct plan *p, const struct occupancy *o, uint32_t pair)
{
	const struct var_pair *vp = &p->diff->vars.v[pair];

	if (vp->old == NO_TWIN || vp->new == NO_TWIN)
		return NULL;
	const struct var *old = &p->diff->old_vars.v[vp->old];
	const struct var *new = &p->diff->new_vars.v[vp->new];
	taddr_t home = layout_data(&p->subject->record->layout, old->addr);

	if (old->region == REGION_TLS || new->region == REGION_TLS)
		return NULL;
	// Of the linker's own objects only the identity of __dso_handle matters (atexit handlers).
	if (new->linker && strcmp(new->name, "__dso_handle"))
		return NULL;
	if (region_const(old->region) && region_writable(new->region)) {
		p->home_moved[pair] = true; // the old place cannot be written
		return NULL;
	}
	if (vp->verdict == VAR_RESIZED)
		return place_resized(p, o, pair, old, new, home);
	return set_home(p, new, home);
}

// A function keeps the address the process knows it by; its entries in older images become aliases.
static struct err *place_function(struct plan *p, const struct func_pair *fp)
{
	const struct layout *was = &p->subject->record->layout;

	if (fp->old == NO_TWIN || fp->new == NO_TWIN)
		return NULL;
	vaddr_t old = p->diff->old_funcs.v[fp->old].addr,
		new = p->diff->new_funcs.v[fp->new].addr;
	struct canonical c = {.addr = new, .entry = layout_function(was, old)};
	const struct entry_alias *alias;
	size_t n = layout_aliases(was, old, &alias);

	TRY(vec_push(&p->layout.canonicals, c));
	for (size_t i = 0; i < n; i++) {
		struct entry_alias a = {.addr = new, .entry = alias[i].entry};

		if (a.entry != p->layout.base + new) // else the body itself again
			TRY(vec_push(&p->layout.aliases, a));
	}
	if (was->base + old != c.entry) {
		struct entry_alias a = {.addr = new, .entry = was->base + old};

		TRY(vec_push(&p->layout.aliases, a));
	}
	return NULL;
}

// Old bodies that refer to a variable which moves: their frames may hold its old address.
static void mark_users(struct plan *p, const struct var *v)
{
	for (size_t i = 0; i < p->diff->old_funcs.n; i++)
		vec_for_each(in, &p->diff->old_funcs.v[i].body.insns)
			if (in->ref != REF_NONE && in->target >= v->addr &&
			    in->target <= v->addr + v->size)
				p->refers_moved[i] = true;
}

struct err *homes_place(struct plan *p)
{
	struct occupancy o = {0};
	struct err *e = occupancy_read(p, &o);

	p->home_moved = calloc(p->diff->vars.n + 1, sizeof(*p->home_moved));
	p->refers_moved = calloc(p->diff->old_funcs.n + 1, sizeof(*p->refers_moved));
	if (!e && (!p->home_moved || !p->refers_moved))
		e = err_nomem();
	for (uint32_t i = 0; !e && i < p->diff->vars.n; i++)
		e = place_variable(p, &o, i);
	for (size_t i = 0; !e && i < p->diff->funcs.n; i++)
		e = place_function(p, &p->diff->funcs.v[i]);
	free(o.starts);
	for (uint32_t i = 0; !e && i < p->diff->vars.n; i++)
		if (p->home_moved[i])
			mark_users(p, &p->diff->old_vars.v[p->diff->vars.v[i].old]);
	if (!e)
		layout_sort(&p->layout);
	return e;
}
