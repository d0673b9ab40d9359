// SPDX-License-Identifier: LGPL-2.1-or-later
// Pairs variables: globals by name, locals by file and DWARF scope; "name.0" is never trusted as it is.
#include <ctype.h>
#include <string.h>

#include "diff/decode.h"
#include "diff/match.h"
#include "diff/private.h"
#include "util/cleanup.h"

struct hints {		  // by variable
	uint32_t *owner;  // the only function that refers to it, or NO_TWIN
	uint32_t *pieces; // how many of its file differ from it in their number only
};

typedef uint64_t (*var_key_fn)(const struct side *s, const struct alias *a,
			       const struct hints *h);

static const struct dwarf_var *dwarf_of(const struct side *s, const struct alias *a)
{
	const struct dwarf_var *v = dwarf_var_at(s->names, s->vars[a->index].addr);

	return v && v->addr == s->vars[a->index].addr && v->scope ? v : NULL;
}

// Compilers number what is local to a block ("c.0") and what they make themselves ("CSWTCH.12").
static bool is_numbered(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && dot != name && isdigit((unsigned char)dot[1]);
}

static uint64_t global_key(const struct side *s, const struct alias *a,
			   const struct hints *h)
{
	(void)s;
	(void)h;
	return a->local ? 0 : key_string(1, a->name);
}

static uint64_t scope_key(const struct side *s, const struct alias *a,
			  const struct hints *h)
{
	const struct dwarf_var *v = a->local ? dwarf_of(s, a) : NULL;

	(void)h;
	return v ? key_string(key_string(2, v->cu), v->scope) : 0;
}

static uint64_t file_key(const struct side *s, const struct alias *a,
			 const struct hints *h)
{
	(void)h;
	if (!a->local || is_numbered(a->name) || dwarf_of(s, a))
		return 0;
	return key_string(key_string(3, a->file), a->name);
}

// In a file that was renamed.
static uint64_t scope_only_key(const struct side *s, const struct alias *a,
			       const struct hints *h)
{
	const struct dwarf_var *v = dwarf_of(s, a);

	(void)h;
	return v ? key_string(4, v->scope) : 0;
}

static uint64_t name_only_key(const struct side *s, const struct alias *a,
			      const struct hints *h)
{
	(void)s;
	(void)h;
	return is_numbered(a->name) ? 0 : key_string(5, a->name);
}

// Without DWARF, a static local belongs to the one function that refers to it.
static uint64_t owner_key(const struct side *s, const struct alias *a,
			  const struct hints *h)
{
	uint32_t f = h->owner[a->index];

	if (!a->local || !is_numbered(a->name) || dwarf_of(s, a) || f == NO_TWIN ||
	    s->vars[a->index].is_const)
		return 0;
	return key_without_digits(key_string(6, s->funcs[f].name), a->name);
}

static bool made_by_compiler(const char *name)
{
	return !strncmp(name, "CSWTCH.", 7) || !strncmp(name, "__func__.", 9) ||
	       !strncmp(name, "__FUNCTION__.", 13) ||
	       !strncmp(name, "__PRETTY_FUNCTION__.", 20) || !strncmp(name, "C.", 2) ||
	       !strncmp(name, "switch.table", 12);
}

// clang splits a structure into "conf.0", "conf.1", which DWARF has as pieces of "conf". What gcc
// numbers has an entry of its own there.
static uint64_t piece_key(const struct side *s, const struct alias *a,
			  const struct hints *h)
{
	uint64_t key = hash_mix(key_string(9, a->file), s->vars[a->index].size);

	if (!a->local || !is_numbered(a->name) || dwarf_of(s, a) ||
	    !module_has_dwarf(s->m) || made_by_compiler(a->name))
		return 0;
	// With another number of pieces the numbers may stand for other members.
	return key_string(hash_mix(key, h->pieces[a->index]), a->name);
}

static uint64_t content_of(const struct side *s, const struct var *v)
{
	const uint8_t *p = module_bytes(s->m, v->addr, v->size);
	uint64_t h = hash_mix(v->size, 7);

	for (uint64_t i = 0; p && i < v->size; i++)
		h = hash_mix(h, p[i]);
	return h;
}

// "__initcb_7149", "CSWTCH.12": names that carry line or serial numbers, equal in all else.
static bool has_line_number(const char *name)
{
	size_t run = 0;

	for (; *name; name++) {
		run = isdigit((unsigned char)*name) ? run + 1 : 0;
		if (run >= 2)
			return !is_numbered(name);
	}
	return false;
}

static uint64_t digitless_content_key(const struct side *s, const struct alias *a,
				      const struct hints *h)
{
	const struct var *v = &s->vars[a->index];

	(void)h;
	// State must not be taken over by likeness; constants and what is registered by line may.
	if (!v->size || !a->local || (!v->is_const && !has_line_number(a->name)))
		return 0;
	uint64_t key = hash_mix(key_string(7, a->file), content_of(s, v) + v->region);
	return key_without_digits(key, a->name);
}

static uint64_t digitless_key(const struct side *s, const struct alias *a,
			      const struct hints *h)
{
	const struct var *v = &s->vars[a->index];

	(void)h;
	if (!v->size || !a->local || made_by_compiler(a->name))
		return 0;
	return key_without_digits(hash_mix(key_string(8, a->file), v->is_const), a->name);
}

static struct err *list_items(const struct side *s, var_key_fn key, const struct hints *h,
			      item_list *ret)
{
	ret->n = 0;
	TRY(vec_reserve(ret, s->var_aliases.n));
	vec_for_each(a, &s->var_aliases) {
		if (s->pair_of_var[a->index] == NO_TWIN)
			ret->v[ret->n++] = (struct item){key(s, a, h), a->index};
	}
	return NULL;
}

// owner[v]: the only function that refers to the variable, in the indices of the new side.
static struct err *find_owners(const struct side *s, uint32_t **ret)
{
	enum { MANY = NO_TWIN - 1 };
	uint32_t *owner = malloc((s->n_vars + 1) * sizeof(*owner));

	if (!owner)
		return err_nomem();
	memset(owner, 0xff, (s->n_vars + 1) * sizeof(*owner));
	for (uint32_t f = 0; f < s->n_funcs; f++) {
		vec_for_each(in, &s->funcs[f].body.insns) {
			uint32_t v;

			if (in->ref != REF_DATA)
				continue;
			v = side_var_at(s, in->target).inside;
			if (v != NO_TWIN)
				owner[v] = owner[v] == NO_TWIN || owner[v] == f ? f : MANY;
		}
	}
	for (size_t v = 0; v < s->n_vars; v++) {
		if (owner[v] == MANY)
			owner[v] = NO_TWIN;
	}
	*ret = owner;
	return NULL;
}

static struct err *count_pieces(const struct side *s, uint32_t **ret)
{
	item_list l = {0};
	uint32_t *pieces = calloc(s->n_vars + 1, sizeof(*pieces));
	struct err *e = pieces ? NULL : err_nomem();

	for (size_t i = 0; !e && i < s->var_aliases.n; i++) {
		const struct alias *a = &s->var_aliases.v[i];

		if (a->local && is_numbered(a->name))
			e = vec_push(&l, (struct item){key_without_digits(
							       key_string(10, a->file),
							       a->name),
						       a->index});
	}
	items_sort(&l);
	for (size_t i = 0, end; i < l.n; i = end) {
		for (end = i; end < l.n && l.v[end].key == l.v[i].key; end++)
			;
		for (size_t k = i; k < end; k++)
			pieces[l.v[k].index] = (uint32_t)(end - i);
	}
	vec_free(&l);
	if (e)
		free(pieces);
	else
		*ret = pieces;
	return e;
}

static void hints_deinit(struct hints *h)
{
	free(h->owner);
	free(h->pieces);
}

struct step {
	var_key_fn key;
	enum match_mode mode;
};

static struct err *run_steps(struct diff *d, item_list *old, item_list *new)
{
	static const struct step steps[] = {
		{global_key, MATCH_UNIQUE},
		{scope_key, MATCH_UNIQUE},
		{file_key, MATCH_UNIQUE},
		{owner_key, MATCH_UNIQUE},
		{piece_key, MATCH_UNIQUE},
		{scope_only_key, MATCH_UNIQUE},
		{name_only_key, MATCH_UNIQUE},
		{digitless_content_key, MATCH_IN_ORDER},
		{digitless_content_key, MATCH_PREFIX},
		{digitless_key, MATCH_UNIQUE},
	};
	struct side *o = &d->index->old, *n = &d->index->new;
	_cleanup_(hints_deinit) struct hints old_hints = {0}, new_hints = {0};

	TRY(find_owners(o, &old_hints.owner));
	TRY(find_owners(n, &new_hints.owner));
	TRY(count_pieces(o, &old_hints.pieces));
	TRY(count_pieces(n, &new_hints.pieces));
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		TRY(list_items(o, steps[i].key, &old_hints, old));
		TRY(list_items(n, steps[i].key, &new_hints, new));
		match_items(old, new, steps[i].mode, o->pair_of_var, n->pair_of_var);
	}
	return NULL;
}

struct err *pair_variables(struct diff *d)
{
	item_list old = {0}, new = {0};
	struct err *e = run_steps(d, &old, &new);

	vec_free(&old);
	vec_free(&new);
	return e;
}
