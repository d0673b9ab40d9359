// SPDX-License-Identifier: LGPL-2.1-or-later
// Pairs the functions of both programs: by name, by file and name, by unit, what is left by content.
#include <string.h>

#include "diff/decode.h"
#include "diff/match.h"
#include "diff/private.h"

enum { MIN_CONTENT = 6 }; // instructions; shorter bodies look alike by chance

uint64_t body_shape(const struct side *s, const struct body *b, bool with_names)
{
	uint64_t h = hash_mix(b->insns.n, b->parts.n);

	vec_for_each(in, &b->insns) {
		h = hash_mix(h, in->hash + in->ref);
		if (in->ref == REF_BRANCH) {
			h = hash_mix(h, in->target_index);
		} else if (with_names && (in->ref == REF_GOT || in->ref == REF_PLT)) {
			vaddr_t slot = in->target;
			const struct reloc *r;

			if (in->ref == REF_PLT && !plt_entry_slot(s->m, in->target, &slot))
				continue;
			r = module_reloc_at(s->m, slot);
			if (r && r->name)
				h = key_string(h, r->name);
		} else if (with_names && in->ref == REF_RODATA) {
			h = hash_mix(h, content_hash(s, in));
		}
	}
	return h | 1;
}

typedef uint64_t (*alias_key_fn)(const struct side *s, const struct alias *a);

static uint64_t global_key(const struct side *s, const struct alias *a)
{
	(void)s;
	return a->local ? 0 : key_string(1, a->name);
}

static uint64_t file_key(const struct side *s, const struct alias *a)
{
	(void)s;
	return a->local ? key_string(key_string(2, a->file), a->name) : 0;
}

static uint64_t unit_key(const struct side *s, const struct alias *a)
{
	const struct dwarf_func *d;

	if (!a->local)
		return 0;
	d = dwarf_func_at(s->names, s->funcs[a->index].addr);
	if (!d || d->addr != s->funcs[a->index].addr)
		return 0;
	return key_string(key_string(3, d->cu), a->name);
}

static uint64_t file_content_key(const struct side *s, const struct alias *a)
{
	return a->local ? hash_mix(file_key(s, a),
				   body_shape(s, &s->funcs[a->index].body, true))
			: 0;
}

static uint64_t name_key(const struct side *s, const struct alias *a)
{
	(void)s;
	return key_string(4, a->name);
}

static bool has_suffix(const char *name)
{
	return strstr(name, ".isra.") || strstr(name, ".part.") ||
	       strstr(name, ".constprop.") || strstr(name, ".lto_priv.") ||
	       strstr(name, ".cold.") || strstr(name, ".llvm.");
}

// The number of "parse.isra.0" says nothing.
static uint64_t suffix_content_key(const struct side *s, const struct alias *a)
{
	if (!has_suffix(a->name))
		return 0;
	return key_without_digits(body_shape(s, &s->funcs[a->index].body, true), a->name);
}

static uint64_t suffix_key(const struct side *s, const struct alias *a)
{
	(void)s;
	if (!has_suffix(a->name))
		return 0;
	return key_without_digits(key_string(5, a->file), a->name);
}

// What link-time optimisation renamed because another file has the name too.
static uint64_t lto_key(const struct side *s, const struct alias *a)
{
	const char *lto = strstr(a->name, ".lto_priv.");
	char name[256];
	size_t n = lto ? (size_t)(lto - a->name) : strlen(a->name);

	(void)s;
	if (!a->local || n >= sizeof(name))
		return 0;
	memcpy(name, a->name, n);
	name[n] = 0;
	return key_string(8, name);
}

static struct err *list_items(const struct side *s, alias_key_fn key, const uint32_t *to,
			      item_list *ret)
{
	ret->n = 0;
	TRY(vec_reserve(ret, s->func_aliases.n));
	vec_for_each(a, &s->func_aliases) {
		if (to[a->index] == NO_TWIN)
			ret->v[ret->n++] = (struct item){key(s, a), a->index};
	}
	return NULL;
}

struct step {
	alias_key_fn key;
	enum match_mode mode;
};

static struct err *by_aliases(struct diff *d, item_list *old, item_list *new)
{
	static const struct step steps[] = {
		{global_key, MATCH_UNIQUE}, {file_key, MATCH_UNIQUE},
		{unit_key, MATCH_UNIQUE},   {file_content_key, MATCH_PREFIX},
		{file_key, MATCH_IN_ORDER}, {suffix_content_key, MATCH_PREFIX},
		{name_key, MATCH_UNIQUE},   {suffix_key, MATCH_IN_ORDER},
		{lto_key, MATCH_UNIQUE},
	};
	struct side *o = &d->index->old, *n = &d->index->new;

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		TRY(list_items(o, steps[i].key, o->pair_of_func, old));
		TRY(list_items(n, steps[i].key, n->pair_of_func, new));
		match_items(old, new, steps[i].mode, o->pair_of_func, n->pair_of_func);
	}
	return NULL;
}

static struct err *content_items(const struct side *s, item_list *ret)
{
	ret->n = 0;
	for (uint32_t i = 0; i < s->n_funcs; i++) {
		const struct body *b = &s->funcs[i].body;

		if (s->pair_of_func[i] == NO_TWIN && b->insns.n >= MIN_CONTENT)
			TRY(vec_push(ret, (struct item){body_shape(s, b, true), i}));
	}
	return NULL;
}

// Code that no symbol names, by the label or order it has.
static struct err *unnamed_items(const struct side *s, item_list *ret)
{
	ret->n = 0;
	for (uint32_t i = 0; i < s->n_funcs; i++) {
		if (s->pair_of_func[i] == NO_TWIN && strncmp(s->funcs[i].name, "sub_", 4))
			TRY(vec_push(ret,
				     (struct item){key_string(6, s->funcs[i].name), i}));
	}
	return NULL;
}

static struct err *pair_named(struct diff *d, item_list *old, item_list *new)
{
	struct side *o = &d->index->old, *n = &d->index->new;

	TRY(by_aliases(d, old, new));
	TRY(unnamed_items(o, old));
	TRY(unnamed_items(n, new));
	match_items(old, new, MATCH_UNIQUE, o->pair_of_func, n->pair_of_func);
	TRY(content_items(o, old));
	TRY(content_items(n, new));
	match_items(old, new, MATCH_UNIQUE, o->pair_of_func, n->pair_of_func);
	return NULL;
}

struct err *pair_functions(struct diff *d)
{
	item_list old = {0}, new = {0};
	struct err *e = pair_named(d, &old, &new);

	vec_free(&old);
	vec_free(&new);
	return e;
}
