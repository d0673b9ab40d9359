// SPDX-License-Identifier: LGPL-2.1-or-later
// The tables of _dl_find_object in ld.so, found by their contents; see ldso.h and glibc's elf/dl-find_object.c:
// one sorted array for what was loaded at the start, a chain of sorted segments for what dlopen brought.
#include <stdlib.h>
#include <string.h>

#include "process/memory.h"
#include "update/ldso.h"
#include "util/cleanup.h"

struct object { // struct dl_find_object_internal
	uint64_t start, end, map, eh_frame;
};

struct segment_head { // struct dlfo_mappings_segment without its objects
	uint64_t previous, to_free, size, allocated;
};

struct slot { // one object and where it stands
	taddr_t at;
	struct object o;
};

struct table {
	VEC(struct slot) slots; // ascending
};

enum {
	OBJECTS_MAX = 8192,
	SEGMENTS_MAX = 64,
	NEAR_WORDS = 8, // the array's end, size and pointer are declared together
};

struct tables {
	struct plan *const *plans;
	size_t n;
	const struct target *target;
	VEC(taddr_t) seen; // first object of each table that was changed
	size_t found;	   // entries of updated libraries
	// One writable segment of ld.so.
	taddr_t start;
	uint64_t *words;
	size_t n_words;
};

static bool is_module(const struct tables *t, taddr_t map)
{
	vec_for_each(e, &t->target->links.v)
		if (e->addr == map)
			return true;
	return false;
}

static const struct plan *plan_of(const struct tables *t, taddr_t map)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct subject *s = t->plans[i]->subject;

		if (!subject_is_exe(s) && s->target->links.v.v[s->link].addr == map)
			return t->plans[i];
	}
	return NULL;
}

static struct object moved(const struct plan *p, const struct object *o)
{
	const taddr_t base = p->layout.base;
	const vaddr_t eh = module_eh_frame_hdr(p->new);

	return (struct object){.start = base,
			       .end = base + module_end(p->new, 0),
			       .map = o->map,
			       .eh_frame = eh ? base + eh : 0};
}

static int by_start(const void *a, const void *b)
{
	const struct object *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static bool was_seen(const struct tables *t, taddr_t at)
{
	vec_for_each(s, &t->seen)
		if (*s == at)
			return true;
	return false;
}

static struct err *patch_object(struct plan *p, const struct slot *was,
				const struct object *want)
{
	const uint64_t old[4] = {was->o.start, was->o.end, was->o.map, was->o.eh_frame};
	const uint64_t new[4] = {want->start, want->end, want->map, want->eh_frame};

	for (size_t i = 0; i < 4; i++)
		if (old[i] != new[i])
			TRY(plan_patch(p, was->at + i * 8, &old[i], &new[i], 8,
				       "_dl_find_object"));
	return NULL;
}

// The updated libraries get their new addresses, and the places are filled anew in ascending order. *end: that of
// the last object afterwards; 0 when nothing changed.
static struct err *patch_table(struct tables *t, const struct table *table, taddr_t *end)
{
	_cleanup_free_ struct object *want = calloc(table->slots.n, sizeof(*want));
	size_t n = 0;

	*end = 0;
	if (!want)
		return err_nomem();
	for (size_t i = 0; i < table->slots.n; i++) {
		const struct object *o = &table->slots.v[i].o;
		const struct plan *p = o->map ? plan_of(t, o->map) : NULL;

		want[i] = *o;
		if (!p || o->start != subject_base(p->subject))
			continue;
		want[i] = moved(p, o);
		n++;
	}
	if (!n || was_seen(t, table->slots.v[0].at))
		return NULL;
	TRY(vec_push(&t->seen, table->slots.v[0].at));
	t->found += n;
	qsort(want, table->slots.n, sizeof(*want), by_start);
	for (size_t i = 0; i < table->slots.n; i++)
		TRY(patch_object(t->plans[0], &table->slots.v[i], &want[i]));
	*end = want[table->slots.n - 1].end;
	return NULL;
}

// Reads objects at `at`, at most `max`, as long as they are some and ascend; with `all` none if not all are.
static struct err *read_objects(const struct tables *t, taddr_t at, size_t max, bool all,
				struct table *ret)
{
	size_t begin = ret->slots.n;

	for (size_t i = 0; i < max; i++) {
		struct slot s = {.at = at + i * sizeof(s.o)};
		struct err *e = mem_read(t->target->process->pid, s.at, &s.o, sizeof(s.o));
		const struct slot *last =
			ret->slots.n > begin ? &ret->slots.v[ret->slots.n - 1] : NULL;
		bool closed = all && !s.o.map && s.o.start == s.o.end; // by dlclose

		if (e || !(closed || (is_module(t, s.o.map) && s.o.start < s.o.end)) ||
		    (last && last->o.start >= s.o.start)) {
			err_free(e);
			if (all)
				ret->slots.n = begin;
			break;
		}
		TRY(vec_push(&ret->slots, s));
	}
	return NULL;
}

// _dlfo_nodelete_mappings_end stands beside the pointer to the array.
static struct err *patch_end(struct tables *t, size_t word, taddr_t old, taddr_t new)
{
	size_t from = word > NEAR_WORDS ? word - NEAR_WORDS : 0;

	if (old == new)
		return NULL;
	for (size_t i = from; i <= word + NEAR_WORDS && i < t->n_words; i++)
		if (t->words[i] == old)
			return plan_patch(t->plans[0], t->start + i * 8, &old, &new, 8,
					  "_dl_find_object");
	return err_with(err_new(ERR_UNSUPPORTED,
				"the end of ld.so's table of modules was not found"),
			"ldso-unknown", "_dl_find_object");
}

// Whether the word leads to the array of what was loaded at the start.
static struct err *try_array(struct tables *t, size_t word)
{
	struct table table = {0};
	taddr_t end = 0;
	struct err *e = read_objects(t, t->words[word], OBJECTS_MAX, false, &table);

	if (!e && table.slots.n)
		e = patch_table(t, &table, &end);
	if (!e && end)
		e = patch_end(t, word, table.slots.v[table.slots.n - 1].o.end, end);
	vec_free(&table.slots);
	return e;
}

static int by_place(const void *a, const void *b)
{
	const struct slot *x = a, *y = b;

	return x->o.start < y->o.start ? -1 : x->o.start > y->o.start;
}

// Whether it leads to the chain of segments of what dlopen brought.
static struct err *try_chain(struct tables *t, size_t word)
{
	struct table table = {0};
	taddr_t at = t->words[word], end;
	struct err *e = NULL;

	for (size_t i = 0; !e && at && i < SEGMENTS_MAX; i++) {
		struct segment_head h;
		size_t before = table.slots.n;

		e = mem_read(t->target->process->pid, at, &h, sizeof(h));
		if (e || h.size > h.allocated || h.allocated > OBJECTS_MAX) {
			err_free(e);
			e = NULL;
			table.slots.n = 0;
			break;
		}
		if (!h.size)
			break;
		e = read_objects(t, at + sizeof(h), h.size, true, &table);
		if (table.slots.n == before) { // none of ours
			table.slots.n = 0;
			break;
		}
		at = h.previous;
	}
	if (!e && table.slots.n) {
		qsort(table.slots.v, table.slots.n, sizeof(*table.slots.v), by_place);
		e = patch_table(t, &table, &end);
	}
	vec_free(&table.slots);
	return e;
}

static struct err *search_segment(struct tables *t, taddr_t start, uint64_t size)
{
	_cleanup_free_ uint64_t *words = malloc(size);

	if (!words)
		return err_nomem();
	t->start = start;
	t->words = words;
	t->n_words = size / 8;
	TRY(mem_read(t->target->process->pid, start, words, size));
	for (size_t i = 0; i < t->n_words; i++) {
		if (!words[i] || words[i] % 8)
			continue;
		TRY(try_array(t, i));
		TRY(try_chain(t, i));
	}
	return NULL;
}

static struct err *search_rtld(struct tables *t, struct target *target)
{
	struct link_entry *rtld = link_list_rtld(&target->links);
	size_t libraries = 0;
	bool ifunc, found;
	taddr_t ignored;

	for (size_t i = 0; i < t->n; i++)
		libraries += !subject_is_exe(t->plans[i]->subject);
	if (!libraries)
		return NULL;
	if (rtld)
		TRY(link_entry_open(&target->links, rtld));
	if (!rtld || !rtld->file)
		return err_with(err_new(ERR_UNSUPPORTED, "ld.so was not found"),
				"ldso-unknown", "r_debug");
	TRY(link_lookup(&target->links, "_dl_find_object", NULL, true, &ignored, &ifunc,
			&found)); // libc exports it
	if (!found)
		return NULL; // before glibc 2.35: the link_maps are all there is
	vec_for_each(seg, &rtld->file->segments)
		if (seg->type == PT_LOAD && (seg->flags & PF_W))
			TRY(search_segment(t, rtld->base + (seg->addr & ~(vaddr_t)7),
					   seg->memsz & ~(uint64_t)7));
	if (t->found < libraries)
		return err_with(err_new(ERR_UNSUPPORTED,
					"ld.so's tables of modules were not found"),
				"ldso-unknown", "_dl_find_object");
	return NULL;
}

struct err *plan_find_object(struct plan *const *plans, size_t n)
{
	struct target *target = plans[0]->subject->target;
	struct tables t = {.plans = plans, .n = n, .target = target};
	struct err *e = search_rtld(&t, target);

	vec_free(&t.seen);
	return e;
}
