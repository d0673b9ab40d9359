// SPDX-License-Identifier: LGPL-2.1-or-later
// Flattens a type into the scalars that a merge treats as units.
#include "elf/type_fields.h"

#include <dwarf.h>

#include "elf/dies.h"
#include "elf/type_die.h"
#include "util/cleanup.h"

enum { MAX_FIELDS = 1 << 20 };

struct flatten {
	const struct dies *d;
	struct type_fields *out;
	size_t steps; // types without members have no fields to count
	bool too_many;
};

static struct err *add_type(struct flatten *f, uint64_t type, uint64_t at, int depth);

static struct err *add_field(struct flatten *f, struct type_field field)
{
	if (f->out->v.n >= MAX_FIELDS) {
		f->too_many = true;
		return NULL;
	}
	return field.size ? vec_push(&f->out->v, field) : NULL;
}

static bool is_character(const struct die *e)
{
	return e && e->tag == DW_TAG_base_type && e->size == 1 &&
	       (e->encoding == DW_ATE_signed_char || e->encoding == DW_ATE_unsigned_char);
}

// The bytes that hold a bit-field; neighbours in one byte are united later.
static struct err *add_bits(struct flatten *f, const struct die *member, uint64_t at)
{
	uint64_t bit, bits;

	if (!member_bits(f->d, member, &bit, &bits))
		return NULL;
	return add_field(f, (struct type_field){.offset = at + bit / 8,
						.size = (bit % 8 + bits + 7) / 8});
}

static struct err *add_record(struct flatten *f, const struct die *e, uint64_t at,
			      int depth)
{
	for (const struct die *c = dies_child(f->d, e); c && !f->too_many;
	     c = dies_sibling(f->d, c)) {
		if ((c->tag != DW_TAG_member && c->tag != DW_TAG_inheritance) ||
		    (c->flags & (DIE_DECLARATION | DIE_EXTERNAL)))
			continue;
		if (c->bit_size)
			TRY(add_bits(f, c, at));
		else if (c->virtuality != DW_VIRTUALITY_virtual)
			TRY(add_type(f, c->type, at + c->value, depth + 1));
	}
	return NULL;
}

static struct err *add_array(struct flatten *f, const struct die *e, uint64_t at,
			     int depth)
{
	uint64_t n = type_array_count(f->d, e), size = type_size(f->d, e->type);
	const struct die *element = type_strip(f->d, e->type);

	if (is_character(element))
		return add_field(f, (struct type_field){at, n, .is_string = true});
	if (!size || !element)
		return NULL;
	for (uint64_t i = 0; i < n && !f->too_many; i++)
		TRY(add_type(f, e->type, at + i * size, depth + 1));
	return NULL;
}

static struct err *add_type(struct flatten *f, uint64_t type, uint64_t at, int depth)
{
	const struct die *e = type_strip(f->d, type);

	if (!e)
		return NULL;
	if (depth > MAX_TYPE_DEPTH || ++f->steps > (size_t)4 * MAX_FIELDS) {
		f->too_many = true;
		return NULL;
	}
	if (e->tag == DW_TAG_structure_type || e->tag == DW_TAG_class_type)
		return add_record(f, e, at, depth);
	if (e->tag == DW_TAG_array_type)
		return add_array(f, e, at, depth);
	return add_field(f, (struct type_field){at, type_size(f->d, type),
						.is_pointer = die_is_pointer(e)});
}

static int compare_fields(const void *a, const void *b)
{
	const struct type_field *x = a, *y = b;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return (x->size < y->size) - (x->size > y->size);
}

static struct err *add_padding(struct type_fields *to, uint64_t start, uint64_t end)
{
	if (start >= end)
		return NULL;
	return vec_push(&to->v,
			(struct type_field){start, end - start, .is_padding = true});
}

// Sorts, unites what overlaps, and fills the gaps, so that every byte has one owner.
static struct err *close_gaps(struct type_fields *raw, uint64_t size,
			      struct type_fields *to)
{
	uint64_t end = 0;

	if (raw->v.n)
		qsort(raw->v.v, raw->v.n, sizeof(*raw->v.v), compare_fields);
	vec_for_each(f, &raw->v) {
		struct type_field *last = to->v.n ? &to->v.v[to->v.n - 1] : NULL;

		if (f->offset >= size || f->size > size - f->offset)
			continue;
		if (f->offset >= end) {
			TRY(add_padding(to, end, f->offset));
			TRY(vec_push(&to->v, *f));
			end = f->offset + f->size;
		} else if (f->offset + f->size > end) {
			end = f->offset + f->size;
			*last = (struct type_field){.offset = last->offset,
						    .size = end - last->offset};
		}
	}
	return add_padding(to, end, size);
}

struct err *type_fields(const struct dwarf_names *n, size_t die, uint64_t size,
			struct type_fields *ret)
{
	_cleanup_(type_fields_deinit) struct type_fields raw = {};
	struct flatten f = {.d = n->dies, .out = &raw};

	*ret = (struct type_fields){};
	if (!n->dies || !die || !type_size(n->dies, die))
		return NULL;
	TRY(add_type(&f, die, 0, 0));
	return f.too_many ? NULL : close_gaps(&raw, size, ret);
}

void type_fields_deinit(struct type_fields *f)
{
	vec_free(&f->v);
}
