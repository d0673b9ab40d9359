// SPDX-License-Identifier: LGPL-2.1-or-later
// Scope keys of static variables: function, lexical block, lambda, namespace.
#include "elf/dwarf_scope.h"

#include <dwarf.h>

#include "elf/type_die.h"
#include "util/arena.h"
#include "util/cleanup.h"
#include "util/hash.h"

enum { MAX_ORIGINS = 16, MAX_FUNCTION_NESTING = 16 };

// Looks at closures beside a closure, for all together; a program with more has them to slow molt down.
enum { MAX_CLOSURES_SEEN = 1 << 20 };

static const struct die *enclosing_function(const struct dies *d, const struct die *e)
{
	for (e = dies_parent(d, e); e; e = dies_parent(d, e))
		if (e->tag == DW_TAG_subprogram)
			return e;
	return NULL;
}

const struct die *declared_die(const struct dies *d, const struct die *e)
{
	for (int i = 0; i < MAX_ORIGINS && !e->decl_line && e->origin; i++) {
		const struct die *to = dies_at(d, e->origin);

		if (!to)
			break;
		e = to;
	}
	return e;
}

const char *function_name(const struct dies *d, const struct die *f)
{
	const char *name = NULL;

	for (int i = 0; i < MAX_ORIGINS && f; i++) {
		if (f->linkage_name)
			return f->linkage_name;
		if (!name)
			name = f->name;
		f = f->origin ? dies_at(d, f->origin) : NULL;
	}
	return name;
}

// One slot for each (function, name) seen so far.
struct name_slot {
	uint32_t function; // index + 1, 0 for an empty slot
	uint32_t count;
	const char *name;
};

static size_t name_hash(uint32_t function, const char *name)
{
	uint64_t h = hash_bytes(function * 0x9e3779b97f4a7c15u, name, strlen(name));

	return h ^ h >> 29;
}

static struct name_slot *find_slot(struct name_slot *slots, size_t mask,
				   uint32_t function, const char *name)
{
	size_t i = name_hash(function, name) & mask;

	while (slots[i].function &&
	       (slots[i].function != function || strcmp(slots[i].name, name)))
		i = (i + 1) & mask;
	return &slots[i];
}

static bool is_named_local(const struct die *e)
{
	return e->tag == DW_TAG_variable && e->name && (e->flags & DIE_LOCAL);
}

static struct err *count_ordinals(const struct dies *d, uint32_t **ret)
{
	_cleanup_free_ uint32_t *ordinals = calloc(d->dies.n + 1, sizeof(*ordinals));
	_cleanup_free_ struct name_slot *slots = NULL;
	size_t n = 0, mask = 63;

	vec_for_each(e, &d->dies)
		n += is_named_local(e);
	while (mask < n * 2)
		mask = mask * 2 + 1;
	slots = calloc(mask + 1, sizeof(*slots));
	if (!ordinals || !slots)
		return err_nomem();
	vec_for_each(e, &d->dies) {
		const struct die *f = is_named_local(e) ? enclosing_function(d, e) : NULL;
		struct name_slot *slot;

		if (!f)
			continue;
		slot = find_slot(slots, mask, dies_index(d, f) + 1, e->name);
		slot->function = dies_index(d, f) + 1;
		slot->name = e->name;
		ordinals[dies_index(d, e)] = slot->count++;
	}
	*ret = take_ptr(ordinals);
	return NULL;
}

struct err *scopes_init(struct scopes *s, const struct dies *d)
{
	*s = (struct scopes){.d = d, .unit = NO_DIE};
	return count_ordinals(d, &s->ordinals);
}

void scopes_deinit(struct scopes *s)
{
	free(s->ordinals);
	vec_free(&s->functions);
}

static const char *function_key(struct scopes *s, const struct die *f, void **arena,
				int depth);

// gcc calls the class of a lambda "<lambda(int)>", clang gives it no name.
static bool is_closure(const struct dies *d, const struct die *f)
{
	const struct die *class = dies_parent(d, f);

	return class && die_is_record(class) && f->name &&
	       !strcmp(f->name, "operator()") &&
	       (!class->name || !strncmp(class->name, "<lambda", 7));
}

static const char *closure_shape(const struct dies *d, const struct die *class,
				 void **arena)
{
	const char *shape =
		arena_printf(arena, "%s{", class->name ? class->name : "<lambda>");

	for (const struct die *c = dies_child(d, class); c && shape;
	     c = dies_sibling(d, c)) {
		const char *type;

		if (c->tag != DW_TAG_member)
			continue;
		type = type_name(d, c->type, arena);
		shape = type ? arena_printf(arena, "%s%s %s,", shape, type,
					    c->name ? c->name : "")
			     : NULL;
	}
	return shape ? arena_printf(arena, "%s}", shape) : NULL;
}

// The linkage name of a lambda counts all lambdas before it, so that a new one would
// rename the rest.
static unsigned closure_number(struct scopes *s, const struct die *class,
			       const char *shape)
{
	const struct dies *d = s->d;
	const struct die *up = dies_parent(d, class);
	unsigned number = 0;
	void *scratch = NULL;

	for (const struct die *c = up ? dies_child(d, up) : NULL; c && c != class;
	     c = dies_sibling(d, c)) {
		const char *other;

		if (c->tag != class->tag || !(!c->name || !strncmp(c->name, "<lambda", 7)))
			continue;
		// A key that no other build has: nothing is paired that may not belong together.
		if (s->closures_seen++ >= MAX_CLOSURES_SEEN) {
			number = dies_index(d, class);
			break;
		}
		other = closure_shape(d, c, &scratch);
		number += other && !strcmp(other, shape);
	}
	arena_free(&scratch);
	return number;
}

static const char *closure_key(struct scopes *s, const struct die *class, void **arena,
			       int depth)
{
	const struct dies *d = s->d;
	const struct die *f = enclosing_function(d, class);
	const char *outer = f ? function_key(s, dies_origin(d, f), arena, depth + 1) : "";
	const char *shape = closure_shape(d, class, arena);

	if (!outer || !shape)
		return NULL;
	return arena_printf(arena, "%s|%s#%u", outer, shape,
			    closure_number(s, class, shape));
}

static const char *function_key(struct scopes *s, const struct die *f, void **arena,
				int depth)
{
	const struct dies *d = s->d;
	const char *name;

	if (is_closure(d, f) && depth < MAX_FUNCTION_NESTING)
		return closure_key(s, dies_parent(d, f), arena, depth);
	name = function_name(d, f);
	if (name && name != f->name)
		return name;
	return die_qualified_name(d, f, arena);
}

static int compare_declared(const void *a, const void *b)
{
	const struct declared_function *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return (x->die > y->die) - (x->die < y->die);
}

static struct err *list_functions(struct scopes *s, uint32_t unit)
{
	const struct dies *d = s->d;
	uint32_t first = d->units.v[unit].die;

	s->unit = unit;
	s->functions.n = 0;
	for (uint32_t i = first; i < d->dies.v[first].next; i++) {
		const struct die *f = &d->dies.v[i];

		if (f->tag == DW_TAG_subprogram && f->name && f->decl_line)
			TRY(vec_push(&s->functions,
				     (struct declared_function){f->decl_file,
								f->decl_line, i}));
	}
	if (s->functions.n)
		qsort(s->functions.v, s->functions.n, sizeof(*s->functions.v),
		      compare_declared);
	return NULL;
}

static size_t declared_behind(const struct scopes *s, uint32_t file, uint32_t line,
			      uint32_t die)
{
	const struct declared_function key = {file, line, die};
	size_t lo = 0, hi = s->functions.n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (compare_declared(&s->functions.v[mid], &key) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

// clang leaves the static variables of functions that it inlined everywhere in a nameless
// entry: theirs is the last function that is declared before them.
static const struct die *function_above(struct scopes *s, const struct die *var)
{
	const struct declared_function *f;
	size_t at;

	if (s->unit != var->unit) {
		struct err *e = list_functions(s, var->unit);

		if (e) {
			s->unit = NO_DIE;
			err_free(e);
			return NULL;
		}
	}
	at = declared_behind(s, var->decl_file, var->decl_line, UINT32_MAX);
	if (!at || s->functions.v[at - 1].file != var->decl_file)
		return NULL;
	f = &s->functions.v[at - 1];
	// Of several in one line the first.
	at = declared_behind(s, f->file, f->line - 1, UINT32_MAX);
	return &s->d->dies.v[s->functions.v[at].die];
}

const char *variable_scope(struct scopes *s, const struct die *var, void **arena)
{
	const struct dies *d = s->d;
	const struct die *o = dies_origin(d, var), *f = enclosing_function(d, o), *above;
	const char *key;

	if (!f)
		return die_qualified_name(d, o, arena);
	// A concrete function's origin has the name, and for methods the class around it.
	f = dies_origin(d, f);
	above = f->name ? NULL : function_above(s, o);
	key = function_key(s, above ? above : f, arena, 0);
	if (!key)
		return NULL;
	return arena_printf(arena, "%s|%u|%s", key, s->ordinals[dies_index(d, o)],
			    o->name ? o->name : "(anonymous)");
}
