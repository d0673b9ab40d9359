// SPDX-License-Identifier: LGPL-2.1-or-later
// Saved mappings as they stand in the state, with every check.
#include "restore/space.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const taddr_t PAGE = 4096;

static struct err *parse_flags(const json_t *object, unsigned *ret)
{
	static const char *const names[] = {
		"shared",     "growsdown",  "locked",	  "hugetlb",
		"hugepage",   "nohugepage", "dontfork",	  "dontdump",
		"wipeonfork", "noreserve",  "sequential", "random",
	};
	const json_t *list;

	*ret = 0;
	TRY(json_opt_array(object, "flags", ARRAY_SIZE(names), &list));
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *word = json_string_value(json_array_get(list, i));
		size_t k = 0;

		while (k < ARRAY_SIZE(names) && word && strcmp(word, names[k]) != 0)
			k++;
		if (!word || k == ARRAY_SIZE(names))
			return err_new(ERR_CORRUPT, "flag %zu is not known", i);
		*ret |= 1U << k;
	}
	return NULL;
}

static struct err *parse_kind(const json_t *o, struct saved_map *m)
{
	static const char *const kinds[] = {
		[SPACE_ANON] = "anon", [SPACE_FILE] = "file", [SPACE_MEMORY] = "memory",
		[SPACE_VDSO] = "vdso", [SPACE_VVAR] = "vvar",
	};
	const char *word;
	uint64_t index;
	size_t k = 0;

	TRY(json_get_string(o, "kind", &word));
	while (k < ARRAY_SIZE(kinds) && strcmp(word, kinds[k]) != 0)
		k++;
	if (k == ARRAY_SIZE(kinds))
		return err_new(ERR_CORRUPT, "kind '%s' is not known", word);
	m->kind = (enum space_kind)k;
	if (m->kind == SPACE_FILE)
		TRY(json_get_object(o, "file", &m->file));
	if (m->kind == SPACE_MEMORY) {
		TRY(json_get_u64(o, "memory", INT32_MAX, &index));
		m->memory = index;
	}
	return NULL;
}

static struct err *parse_map(const json_t *o, taddr_t above, struct saved_map *m)
{
	const int prots = PROT_READ | PROT_WRITE | PROT_EXEC;

	TRY(json_get_addr(o, "start", &m->start));
	TRY(json_get_addr(o, "end", &m->end));
	if (m->start % PAGE || m->end % PAGE || m->start >= m->end || m->start < above)
		return err_new(ERR_CORRUPT, "the addresses make no sense");
	TRY(json_get_i32(o, "prot", 0, prots, &m->prot));
	TRY(json_get_u64(o, "offset", INT64_MAX - JSON_ADDR_MAX, &m->offset));
	if (m->offset % PAGE)
		return err_new(ERR_CORRUPT, "the offset is inside of a page");
	TRY(json_get_bool(o, "stored", &m->stored));
	TRY(json_opt_string(o, "name", "", &m->name));
	TRY(parse_flags(o, &m->flags));
	return parse_kind(o, m);
}

struct err *space_parse(struct build *b)
{
	const json_t *list;
	taddr_t above = 0;

	b->space = calloc(1, sizeof(*b->space));
	if (!b->space)
		return err_nomem();
	TRY(json_get_array(b->state, "maps", MAPS_MAX, &list));
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *o;
		struct saved_map m = {};
		const char *kind;

		TRY(json_item_object(list, i, &o));
		TRY(json_at(json_get_string(o, "kind", &kind), "maps", i));
		if (!strcmp(kind, "vsyscall"))
			continue;
		TRY(json_at(parse_map(o, above, &m), "maps", i));
		above = m.end;
		TRY(vec_push(&b->space->maps, m));
	}
	return NULL;
}

void space_free(struct space *s)
{
	if (!s)
		return;
	vec_free(&s->maps);
	free(s);
}
