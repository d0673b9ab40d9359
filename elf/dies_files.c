// SPDX-License-Identifier: LGPL-2.1-or-later
// File names from the head of a line table (DWARF 5 section 6.2.4); the line program
// itself is not run.
#include "elf/dies_internal.h"

#include <dwarf.h>

enum { MAX_FILES = 1 << 20 };

// Entries of all units together for each byte of .debug_line: units share a table now and then, but where
// all units of a damaged file share a long one, it ends.
enum { MAX_SHARING = 8 };

static bool next_entry(struct dies *d, const struct die_unit *u)
{
	return ++d->file_entries < MAX_SHARING * (uint64_t)d->sources[u->source].line.n;
}

struct line_head {
	struct die_unit shape; // address and offset size of this table, for its forms
	struct cursor c;
};

static void skip_formats(struct cursor *c, struct attr_spec *specs, size_t max, size_t *n)
{
	*n = cursor_uint(c, 1);
	if (*n > max)
		cursor_fail(c);
	for (size_t i = 0; i < *n && !c->bad; i++) {
		uint64_t name = cursor_uleb(c), form = cursor_uleb(c);

		specs[i] = (struct attr_spec){
			.name = name > UINT16_MAX ? 0 : (uint16_t)name,
			.form = form > UINT16_MAX ? 0 : (uint16_t)form,
		};
	}
}

static struct err *read_entries5(struct dies *d, struct line_head *h, bool files)
{
	struct attr_spec specs[16];
	size_t n_specs;
	uint64_t n;

	skip_formats(&h->c, specs, ARRAY_SIZE(specs), &n_specs);
	n = cursor_uleb(&h->c);
	if (n > MAX_FILES || (n && !n_specs))
		cursor_fail(&h->c);
	for (uint64_t i = 0; i < n && !h->c.bad; i++) {
		const char *name = NULL;

		if (!next_entry(d, &h->shape))
			cursor_fail(&h->c);
		for (size_t k = 0; k < n_specs && !h->c.bad; k++) {
			struct attr_value v;

			attr_read(d, &h->shape, &h->c, &specs[k], &v);
			if (specs[k].name == DW_LNCT_path)
				name = v.str;
		}
		if (files && !h->c.bad)
			TRY(vec_push(&d->files, name));
	}
	return NULL;
}

static struct err *read_entries2(struct dies *d, struct line_head *h)
{
	struct cursor *c = &h->c;

	while (c->p < c->end && *c->p && next_entry(d, &h->shape))
		cursor_string(c);
	cursor_skip(c, 1);
	TRY(vec_push(&d->files, NULL)); // files count from 1
	while (c->p < c->end && *c->p && next_entry(d, &h->shape)) {
		const char *name = cursor_string(c);

		for (int i = 0; i < 3; i++)
			cursor_uleb(c);
		if (!c->bad)
			TRY(vec_push(&d->files, name));
	}
	return NULL;
}

// Reads the head up to its tables; false when it is damaged.
static bool line_head(const struct dies *d, const struct die_unit *u, struct line_head *h)
{
	struct bytes line = d->sources[u->source].line;
	uint64_t length, opcodes;

	h->shape = *u;
	h->c = cursor_from(line, u->line_offset);
	length = cursor_uint(&h->c, 4);
	h->shape.offset_size = length == UINT32_MAX ? 8 : 4;
	if (length == UINT32_MAX)
		length = cursor_uint(&h->c, 8);
	if (!cursor_has(&h->c, length))
		return false;
	h->c.end = h->c.p + length;
	h->shape.version = (uint8_t)cursor_uint(&h->c, 2);
	if (h->shape.version < 2 || h->shape.version > 5)
		return false;
	if (h->shape.version == 5) {
		h->shape.address_size = (uint8_t)cursor_uint(&h->c, 1);
		if (h->shape.address_size != 8 && h->shape.address_size != 4)
			return false;
		cursor_skip(&h->c, 1);
	}
	cursor_skip(&h->c, h->shape.offset_size); // header_length
	cursor_skip(&h->c, h->shape.version >= 4 ? 5 : 4);
	opcodes = cursor_uint(&h->c, 1);
	cursor_skip(&h->c, opcodes ? opcodes - 1 : 0);
	return !h->c.bad;
}

struct err *unit_files_read(struct dies *d, struct die_unit *u)
{
	struct line_head h;

	const struct die_unit *last = d->units.n ? &d->units.v[d->units.n - 1] : NULL;

	u->first_file = (uint32_t)d->files.n;
	if (!u->has_line)
		return NULL;
	// Type units stand beside the unit whose table they use.
	if (last && last->has_line && last->line_offset == u->line_offset &&
	    last->source == u->source && last->str_offsets_base == u->str_offsets_base) {
		u->first_file = last->first_file;
		u->n_files = last->n_files;
		return NULL;
	}
	if (!line_head(d, u, &h))
		return NULL;
	if (h.shape.version == 5) {
		TRY(read_entries5(d, &h, false));
		TRY(read_entries5(d, &h, true));
	} else {
		TRY(read_entries2(d, &h));
	}
	u->n_files = (uint32_t)d->files.n - u->first_file;
	return NULL;
}
