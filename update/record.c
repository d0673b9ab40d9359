// SPDX-License-Identifier: LGPL-2.1-or-later
// Packing and finding the generation record; see record.h.
#include "update/record.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "process/memory.h"
#include "util/cleanup.h"
#include "util/hash.h"

enum {
	RECORD_VERSION = 2,
	RECORD_MAX_IMAGES = 1 << 16,
};

const char record_magic[8] = "moltrec";

struct packed_header {
	char magic[8];
	uint32_t version;
	uint32_t state;
	uint32_t generation;
	uint32_t n_images;
	uint64_t size; // of everything, header included
	uint64_t text_hash;
	uint64_t base;
	uint64_t n_homes, n_canonicals, n_aliases;
	uint64_t strings_size;
	uint64_t name;	   // offset into the strings
	uint64_t checksum; // of everything but itself and the state
};

struct packed_image {
	uint32_t generation, path, build_id, pad; // offsets into the strings
	uint64_t base, span, time;
};

const size_t record_state_offset = offsetof(struct packed_header, state);

void record_deinit(struct record *r)
{
	vec_for_each(it, &r->images) {
		free(it->path);
		free(it->build_id);
	}
	vec_free(&r->images);
	free(r->name);
	layout_deinit(&r->layout);
}

static uint64_t checksum(const struct packed_header *h, const uint8_t *rest)
{
	struct packed_header copy = *h;

	copy.state = 0;
	copy.checksum = 0;
	uint64_t sum = hash_bytes(HASH_START, &copy, sizeof(copy));
	return hash_bytes(sum, rest, h->size - sizeof(*h));
}

struct err *record_pack(const struct record *r, void **ret, size_t *size)
{
	struct packed_header h = {
		.version = RECORD_VERSION,
		.state = RECORD_PREPARED,
		.generation = r->generation,
		.n_images = (uint32_t)r->images.n,
		.text_hash = r->text_hash,
		.base = r->layout.base,
		.n_homes = r->layout.homes.n,
		.n_canonicals = r->layout.canonicals.n,
		.n_aliases = r->layout.aliases.n,
	};
	memcpy(h.magic, record_magic, sizeof(h.magic));
	vec_for_each(im, &r->images)
		h.strings_size += strlen(im->path) + strlen(im->build_id) + 2;
	h.name = h.strings_size;
	h.strings_size += strlen(r->name) + 1;
	size_t images = r->images.n * sizeof(struct packed_image);
	size_t homes = r->layout.homes.n * sizeof(struct home);
	size_t canon = r->layout.canonicals.n * sizeof(struct canonical);
	size_t alias = r->layout.aliases.n * sizeof(struct entry_alias);

	h.size = sizeof(h) + images + homes + canon + alias + h.strings_size;
	*size = (h.size + 4095) & ~(size_t)4095;
	uint8_t *block = calloc(1, *size);
	if (!block)
		return err_nomem();
	uint8_t *p = block + sizeof(h);
	char *strings = (char *)(p + images + homes + canon + alias);
	uint32_t at = 0;
	vec_for_each(im, &r->images) {
		struct packed_image pi = {.generation = im->generation,
					  .base = im->base,
					  .span = im->span,
					  .time = im->time};

		pi.path = at;
		strcpy(strings + at, im->path);
		at += (uint32_t)strlen(im->path) + 1;
		pi.build_id = at;
		strcpy(strings + at, im->build_id);
		at += (uint32_t)strlen(im->build_id) + 1;
		memcpy(p, &pi, sizeof(pi));
		p += sizeof(pi);
	}
	strcpy(strings + at, r->name);
	if (homes)
		memcpy(p, r->layout.homes.v, homes);
	if (canon)
		memcpy(p + homes, r->layout.canonicals.v, canon);
	if (alias)
		memcpy(p + homes + canon, r->layout.aliases.v, alias);
	h.checksum = checksum(&h, block + sizeof(h));
	memcpy(block, &h, sizeof(h));
	*ret = block;
	return NULL;
}

static struct err *corrupt(const char *what)
{
	return err_with(err_new(ERR_CORRUPT, "generation record is damaged: %s", what),
			"record-corrupt", what);
}

static struct err *copy_list(void **v, size_t *n, size_t *cap, const uint8_t **p,
			     uint64_t count, size_t elem)
{
	if (!vec_reserve_(v, 0, cap, elem, count))
		return err_nomem();
	if (count)
		memcpy(*v, *p, count * elem);
	*n = count;
	*p += count * elem;
	return NULL;
}

static struct err *unpack_images(const struct packed_header *h, const uint8_t **p,
				 const char *strings, struct record *ret)
{
	for (uint32_t i = 0; i < h->n_images; i++, *p += sizeof(struct packed_image)) {
		struct packed_image pi;

		memcpy(&pi, *p, sizeof(pi));
		if (pi.path >= h->strings_size || pi.build_id >= h->strings_size)
			return corrupt("string offset");
		struct record_image im = {.generation = pi.generation,
					  .base = pi.base,
					  .span = pi.span,
					  .time = pi.time};
		im.path = strdup(strings + pi.path);
		im.build_id = strdup(strings + pi.build_id);
		struct err *e =
			im.path && im.build_id ? vec_push(&ret->images, im) : err_nomem();
		if (e) {
			free(im.path);
			free(im.build_id);
			return e;
		}
	}
	return NULL;
}

// Total size of the lists after the header, with every overflow caught; false when it does not fit.
static bool sizes_fit(const struct packed_header *h, uint64_t size)
{
	uint64_t sum = sizeof(*h), part;
	const uint64_t counts[] = {h->n_images, h->n_homes, h->n_canonicals, h->n_aliases,
				   h->strings_size};
	const uint64_t elems[] = {sizeof(struct packed_image), sizeof(struct home),
				  sizeof(struct canonical), sizeof(struct entry_alias), 1};

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		if (__builtin_mul_overflow(counts[i], elems[i], &part) ||
		    __builtin_add_overflow(sum, part, &sum))
			return false;
	return sum == h->size && sum <= size && h->n_images <= RECORD_MAX_IMAGES;
}

struct err *record_unpack(const void *block, size_t size, struct record *ret,
			  enum record_state *state)
{
	struct packed_header h;
	const uint8_t *p = (const uint8_t *)block + sizeof(h);

	if (size < sizeof(h))
		return corrupt("too short");
	memcpy(&h, block, sizeof(h));
	if (memcmp(h.magic, record_magic, sizeof(h.magic)))
		return corrupt("magic");
	if (h.version != RECORD_VERSION)
		return err_with(
			err_new(ERR_UNSUPPORTED,
				"generation record has version %u, this molt knows %d",
				h.version, RECORD_VERSION),
			"record-version", NULL);
	if (!sizes_fit(&h, size) || !h.n_images || !h.strings_size)
		return corrupt("sizes");
	if (checksum(&h, p) != h.checksum)
		return corrupt("checksum");
	const char *strings = (const char *)block + h.size - h.strings_size;
	if (strings[h.strings_size - 1])
		return corrupt("unterminated string");
	if (h.name >= h.strings_size)
		return corrupt("string offset");
	ret->generation = h.generation;
	ret->text_hash = h.text_hash;
	ret->layout.base = h.base;
	*state = h.state;
	ret->name = strdup(strings + h.name);
	if (!ret->name)
		return err_nomem();
	TRY(unpack_images(&h, &p, strings, ret));
	struct layout *l = &ret->layout;
	TRY(copy_list((void **)&l->homes.v, &l->homes.n, &l->homes.cap, &p, h.n_homes,
		      sizeof(struct home)));
	TRY(copy_list((void **)&l->canonicals.v, &l->canonicals.n, &l->canonicals.cap, &p,
		      h.n_canonicals, sizeof(struct canonical)));
	return copy_list((void **)&l->aliases.v, &l->aliases.n, &l->aliases.cap, &p,
			 h.n_aliases, sizeof(struct entry_alias));
}

void record_list_deinit(struct record_list *l)
{
	vec_for_each(it, &l->v)
		record_deinit(&it->record);
	vec_free(&l->v);
}

bool record_is_mapped(const struct record *r, const struct maps *maps)
{
	const struct mapping *m = maps_at(maps, r->layout.base);

	return !*r->name || (m && (!m->ino || strstr(m->path, IMAGE_NAME)));
}

struct found_record *record_of_exe(const struct record_list *l)
{
	struct found_record *ret = NULL;

	vec_for_each(it, &l->v)
		if (!*it->record.name)
			ret = it;
	return ret;
}

uint32_t record_list_generation(const struct record_list *l)
{
	return l->v.n ? l->v.v[l->v.n - 1].record.generation : 0;
}

struct err *record_list_add(struct record_list *l, const void *block, size_t size,
			    taddr_t addr)
{
	struct found_record f = {.addr = addr, .len = size};
	enum record_state state = 0;
	struct err *e = record_unpack(block, size, &f.record, &state);

	if (!e && state == RECORD_LIVE)
		e = vec_push(&l->v, f);
	if (e || state != RECORD_LIVE)
		record_deinit(&f.record);
	return e;
}

// Adds the record that is mapped at [start, start + size) if it is live.
static struct err *add_mapped(pid_t pid, taddr_t start, uint64_t size,
			      struct record_list *ret)
{
	if (size > RECORD_MAX)
		return corrupt("size");
	_cleanup_free_ void *block = malloc(size);
	if (!block)
		return err_nomem();
	TRY(mem_read(pid, start, block, size));
	return record_list_add(ret, block, size, start);
}

static int by_generation(const void *a, const void *b)
{
	const struct found_record *x = a, *y = b;

	if (x->record.generation != y->record.generation)
		return x->record.generation < y->record.generation ? -1 : 1;
	return strcmp(x->record.name, y->record.name);
}

void record_list_sort(struct record_list *l)
{
	if (l->v.n)
		qsort(l->v.v, l->v.n, sizeof(*l->v.v), by_generation);
}

struct err *record_list_read(pid_t pid, const struct maps *maps, struct record_list *ret)
{
	*ret = (struct record_list){0};
	for (const struct mapping *m = maps->v.v; m < maps->v.v + maps->v.n; m++) {
		taddr_t start = m->start;

		if (strncmp(m->path, "/memfd:" RECORD_NAME, strlen("/memfd:" RECORD_NAME)))
			continue;
		// A page of it that was made writable for a while is a mapping of its own.
		while (m + 1 < maps->v.v + maps->v.n && m[1].start == m->end &&
		       m[1].ino == m->ino && m[1].dev == m->dev)
			m++;
		struct err *e = add_mapped(pid, start, m->end - start, ret);
		if (e) {
			record_list_deinit(ret);
			return e;
		}
	}
	record_list_sort(ret);
	return NULL;
}
