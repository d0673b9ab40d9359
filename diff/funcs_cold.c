// SPDX-License-Identifier: LGPL-2.1-or-later
// Pieces that gcc put elsewhere go to the functions they belong to.
#include <stdlib.h>
#include <string.h>

#include "diff/side.h"
#include "util/cleanup.h"

// "parse.cold" and "parse.constprop.0.cold" are pieces that gcc put elsewhere; clang's "parse.cold.1"
// is a function that is called.
size_t cold_parent_length(const char *name)
{
	size_t n = strlen(name);

	return n > 5 && !strcmp(name + n - 5, ".cold") ? n - 5 : 0;
}

static struct func *cold_parent(func_list *funcs, const struct func *cold)
{
	size_t n = cold_parent_length(cold->name);
	struct func *best = NULL;

	vec_for_each(f, funcs) {
		if (strncmp(f->name, cold->name, n) || f->name[n])
			continue;
		if (f->local && cold->file && f->file && strcmp(f->file, cold->file))
			continue;
		if (best)
			return NULL; // two of one name in files of one name
		best = f;
	}
	return best;
}

struct name_slot {
	const char *name;
	size_t n;
	struct func *f;
};

static int slot_by_name(const void *a, const void *b)
{
	const struct name_slot *x = a, *y = b;
	int c = strncmp(x->name, y->name, x->n < y->n ? x->n : y->n);

	return c ? c : (x->n > y->n) - (x->n < y->n);
}

// Cold parts of functions whose name is unique are found by search; the others one by one.
struct err *side_attach_cold(const struct side *s, func_list *funcs, func_list *cold)
{
	size_t named = funcs->n;
	_cleanup_free_ struct name_slot *slots = calloc(named + 1, sizeof(*slots));
	func_list orphans = {0};
	struct err *e = NULL;

	if (!slots)
		return err_nomem();
	for (size_t i = 0; i < named; i++)
		slots[i] = (struct name_slot){funcs->v[i].name, strlen(funcs->v[i].name),
					      &funcs->v[i]};
	qsort(slots, named, sizeof(*slots), slot_by_name);
	for (size_t i = 0; !e && i < cold->n; i++) {
		struct func *c = &cold->v[i], *parent = NULL;
		struct name_slot key = {c->name, cold_parent_length(c->name), NULL};
		struct name_slot *hit =
			bsearch(&key, slots, named, sizeof(*slots), slot_by_name);

		if (hit && !s->split_cold) {
			bool twice =
				(hit > slots && !slot_by_name(hit - 1, &key)) ||
				(hit + 1 < slots + named && !slot_by_name(hit + 1, &key));
			parent = twice ? cold_parent(funcs, c) : hit->f;
		}
		if (parent) {
			e = vec_push(&parent->body.parts,
				     (struct body_part){.addr = c->addr, .size = c->size});
		} else {
			e = vec_push(&orphans, *c);
			if (!e)
				c->body = (struct body){0};
		}
	}
	vec_for_each(o, &orphans) {
		if (e)
			body_deinit(&o->body);
		else
			e = vec_push(funcs, *o);
	}
	vec_free(&orphans);
	return e;
}
