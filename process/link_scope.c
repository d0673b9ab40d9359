// SPDX-License-Identifier: LGPL-2.1-or-later
// Where ld.so looks for symbols: the search lists of its modules, found by value in their link_maps, and what
// they give for one module (ld.so(8), dlopen(3)).
#include <stdlib.h>
#include <string.h>

#include "process/link_impl.h"
#include "util/cleanup.h"

enum {
	LINK_MAP_SCAN = 0x4a0, // struct link_map of glibc 2.28..2.39 is 0x470..0x498 bytes
	LIST_MAX = 8192,
};

static bool entry_of(const struct link_list *l, taddr_t map, uint32_t *ret)
{
	for (size_t i = 0; i < l->v.n; i++)
		if (l->v.v[i].addr == map) {
			*ret = (uint32_t)i;
			return true;
		}
	return false;
}

// Whether `n` words at `at` are modules of the list, `self` the first: then they are its search list.
static struct err *take_list(struct link_list *l, size_t self, taddr_t at, size_t n,
			     bool *taken)
{
	_cleanup_free_ taddr_t *maps = malloc(n * sizeof(*maps));
	struct link_entry *e = &l->v.v[self];

	*taken = false;
	if (!maps)
		return err_nomem();
	struct err *err = mem_read(l->pid, at, maps, n * sizeof(*maps));
	if (err) { // a word that is no pointer
		err_free(err);
		return NULL;
	}
	if (maps[0] != e->addr)
		return NULL;
	e->searchlist.n = 0;
	for (size_t i = 0; i < n; i++) {
		uint32_t index;

		if (!entry_of(l, maps[i], &index)) {
			e->searchlist.n = 0;
			return NULL;
		}
		TRY(vec_push(&e->searchlist, index));
	}
	*taken = true;
	return NULL;
}

// struct r_scope_elem l_searchlist {link_map **r_list; unsigned r_nlist}: the first such pair of a link_map.
static struct err *read_searchlist(struct link_list *l, size_t self)
{
	uint64_t words[LINK_MAP_SCAN / 8];
	bool taken = false;

	struct err *e = mem_read(l->pid, l->v.v[self].addr, words, sizeof(words));
	if (e) { // ends with its page
		err_free(e);
		return NULL;
	}
	for (size_t i = 0; i + 1 < ARRAY_SIZE(words) && !taken; i++) {
		uint64_t n = words[i + 1] & UINT32_MAX;

		if (words[i] % 8 || !n || n > LIST_MAX || n > l->v.n)
			continue;
		TRY(take_list(l, self, words[i], n, &taken));
	}
	return NULL;
}

struct err *link_list_read_searchlists(struct link_list *l)
{
	for (size_t i = 0; i < l->v.n; i++)
		TRY(read_searchlist(l, i));
	return NULL;
}

static struct err *add_list(const struct link_entry *e, bool *seen, struct link_scope *ret)
{
	vec_for_each(i, &e->searchlist) {
		if (seen[*i])
			continue;
		seen[*i] = true;
		TRY(vec_push(&ret->v, *i));
	}
	return NULL;
}

static bool has(const struct link_entry *e, size_t index)
{
	vec_for_each(i, &e->searchlist)
		if (*i == index)
			return true;
	return false;
}

struct err *link_scope_read(const struct link_list *l, size_t from, struct link_scope *ret)
{
	_cleanup_free_ bool *seen = calloc(l->v.n + 1, sizeof(*seen));

	*ret = (struct link_scope){0};
	if (!seen)
		return err_nomem();
	if (!l->v.v[0].searchlist.n)
		return err_with(err_new(ERR_UNSUPPORTED,
					"ld.so's search list of process %d was not found",
					l->pid),
				"no-link-map", NULL);
	struct err *e = add_list(&l->v.v[0], seen, ret);
	for (size_t i = 1; !e && i < l->v.n; i++)
		if (has(&l->v.v[i], from))
			e = add_list(&l->v.v[i], seen, ret);
	if (e)
		link_scope_deinit(ret);
	return e;
}

void link_scope_deinit(struct link_scope *s)
{
	vec_free(&s->v);
}
