// SPDX-License-Identifier: LGPL-2.1-or-later
// The index of .eh_frame: finds the entry that covers a pc.
#include "elf/cfi.h"

#include <stdlib.h>
#include <string.h>

#include "elf/cfi_internal.h"
#include "util/cleanup.h"

struct entry {		    // one length-prefixed record
	uint32_t offset;    // of the record
	uint32_t id_offset; // of the id field
	uint32_t id;	    // 0: CIE, else distance from the id field back to the CIE
	struct rd body;	    // behind the id
};

// The next record at *pos; false at the end or where the table is damaged.
static bool next_entry(const struct cfi *c, size_t *pos, struct entry *ret)
{
	while (*pos < c->size && c->size - *pos >= 8) {
		struct rd r = {c->bytes + *pos, c->bytes + c->size, false};
		uint64_t len = rd_uint(&r, 4);

		ret->offset = (uint32_t)*pos;
		if (!len) { // terminators may stand between the parts of several objects
			*pos += 4;
			continue;
		}
		if (len == 0xffffffff)
			len = rd_uint(&r, 8);
		ret->id_offset = (uint32_t)(r.p - c->bytes);
		if (r.bad || len < 4 || len > (uint64_t)(r.end - r.p))
			return false;
		r.end = r.p + len;
		*pos = (size_t)(r.end - c->bytes);
		ret->id = (uint32_t)rd_uint(&r, 4);
		ret->body = r;
		return true;
	}
	return false;
}

// The augmentation string's letters and their data; false for one that cannot be skipped.
static bool parse_augmentation(struct rd *r, const char *letters, struct cfi_cie *cie)
{
	uint64_t len;
	struct rd data;
	const uint8_t *block;

	if (!*letters)
		return true;
	if (*letters++ != 'z')
		return false;
	cie->has_augmentation = true;
	len = rd_uleb(r);
	block = rd_block(r, len);
	if (!block)
		return false;
	data = (struct rd){block, block + len, false};
	for (; *letters; letters++) {
		uint8_t enc;

		switch (*letters) {
		case 'R':
			cie->encoding = (uint8_t)rd_uint(&data, 1);
			break;
		case 'P':
			enc = (uint8_t)rd_uint(&data, 1);
			rd_encoded_raw(&data, enc);
			break;
		case 'L':
			rd_uint(&data, 1);
			break;
		case 'S':
			cie->signal_frame = true;
			break;
		default: // what follows is unknown, but 'z' told its length
			return !data.bad;
		}
	}
	return !data.bad;
}

static bool parse_cie(const struct entry *e, struct cfi_cie *ret)
{
	struct rd r = e->body;
	uint8_t version = (uint8_t)rd_uint(&r, 1);
	const char *letters = (const char *)r.p;
	const uint8_t *nul = r.bad ? NULL : memchr(r.p, 0, (size_t)(r.end - r.p));

	if (!nul || (version != 1 && version != 3))
		return false;
	r.p = nul + 1;
	*ret = (struct cfi_cie){.offset = e->offset};
	ret->code_align = rd_uleb(&r);
	ret->data_align = rd_sleb(&r);
	ret->ra = version == 1 ? rd_uint(&r, 1) : rd_uleb(&r);
	if (!parse_augmentation(&r, letters, ret) || r.bad)
		return false;
	ret->insns = r.p;
	ret->len = (uint32_t)(r.end - r.p);
	return true;
}

static bool find_cie(const struct cfi *c, uint32_t offset, uint32_t *ret)
{
	size_t lo = 0, hi = c->cies.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->cies.v[mid].offset < offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	*ret = (uint32_t)lo;
	return lo < c->cies.n && c->cies.v[lo].offset == offset;
}

static bool parse_fde(const struct cfi *c, const struct entry *e, struct cfi_fde *ret)
{
	struct rd r = e->body;
	const struct cfi_cie *cie;
	uint64_t size;

	if (e->id > e->id_offset || !find_cie(c, e->id_offset - e->id, &ret->cie))
		return false;
	cie = &c->cies.v[ret->cie];
	ret->start = rd_encoded(&r, cie->encoding, c->addr + (uint64_t)(r.p - c->bytes));
	size = rd_encoded_raw(&r, cie->encoding & PE_FORMAT);
	if (cie->has_augmentation)
		rd_block(&r, rd_uleb(&r));
	if (r.bad || !size || __builtin_add_overflow(ret->start, size, &ret->end))
		return false;
	ret->insns = r.p;
	ret->len = (uint32_t)(r.end - r.p);
	return true;
}

static int compare_fde(const void *a, const void *b)
{
	const struct cfi_fde *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

struct err *cfi_open_bytes(const uint8_t *bytes, size_t size, vaddr_t addr,
			   struct cfi **ret)
{
	_cleanup_(cfi_freep) struct cfi *c = calloc(1, sizeof(*c));
	struct entry e;

	if (!c)
		return err_nomem();
	if (size > INT32_MAX)
		return err_new(ERR_CORRUPT, ".eh_frame of %zu bytes is too large", size);
	c->bytes = bytes;
	c->size = size;
	c->addr = addr;
	for (size_t pos = 0; next_entry(c, &pos, &e);) {
		struct cfi_cie cie;

		if (!e.id && parse_cie(&e, &cie))
			TRY(vec_push(&c->cies, cie));
	}
	for (size_t pos = 0; next_entry(c, &pos, &e);) {
		struct cfi_fde fde;

		if (e.id && parse_fde(c, &e, &fde))
			TRY(vec_push(&c->fdes, fde));
	}
	if (c->fdes.n)
		qsort(c->fdes.v, c->fdes.n, sizeof(*c->fdes.v), compare_fde);
	*ret = take_ptr(c);
	return NULL;
}

// Where .eh_frame stands when there are no section headers: PT_GNU_EH_FRAME points to it.
static bool eh_frame_by_segment(const struct module *m, vaddr_t *addr, uint64_t *size)
{
	const struct segment *hdr = NULL;
	const uint8_t *bytes;
	struct rd r;
	uint8_t enc;

	vec_for_each(s, &m->segments)
		if (s->type == PT_GNU_EH_FRAME)
			hdr = s;
	if (!hdr || hdr->filesz < 8)
		return false;
	bytes = module_bytes(m, hdr->addr, hdr->filesz);
	if (!bytes || bytes[0] != 1)
		return false;
	enc = bytes[1];
	r = (struct rd){bytes + 4, bytes + hdr->filesz, false};
	*addr = rd_encoded(&r, enc, hdr->addr + 4);
	if (r.bad)
		return false;
	vec_for_each(s, &m->segments) {
		if (s->type == PT_LOAD && *addr >= s->addr && *addr - s->addr < s->filesz) {
			*size = s->filesz - (*addr - s->addr);
			return true;
		}
	}
	return false;
}

struct err *cfi_open(const struct module *m, struct cfi **ret)
{
	vaddr_t addr = 0;
	uint64_t size = 0;
	const uint8_t *bytes = NULL;

	vec_for_each(s, &m->sections) {
		if (s->name && !strcmp(s->name, ".eh_frame") && s->type != SHT_NOBITS) {
			addr = s->addr;
			size = s->size;
		}
	}
	if (size || eh_frame_by_segment(m, &addr, &size))
		bytes = module_bytes(m, addr, size);
	return cfi_open_bytes(bytes, bytes ? size : 0, addr, ret);
}

void cfi_free(struct cfi *c)
{
	if (!c)
		return;
	vec_free(&c->cies);
	vec_free(&c->fdes);
	free(c);
}

void cfi_freep(struct cfi **c)
{
	cfi_free(*c);
}

static const struct cfi_fde *find_fde(const struct cfi *c, vaddr_t pc)
{
	size_t lo = 0, hi = c->fdes.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->fdes.v[mid].start <= pc)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && pc < c->fdes.v[lo - 1].end ? &c->fdes.v[lo - 1] : NULL;
}

bool cfi_find(const struct cfi *c, vaddr_t pc, struct cfi_row *ret)
{
	const struct cfi_fde *fde = find_fde(c, pc);

	return fde && cfi_run(c, fde, pc, ret);
}

bool cfi_range(const struct cfi *c, vaddr_t pc, vaddr_t *start, vaddr_t *end)
{
	const struct cfi_fde *fde = find_fde(c, pc);

	if (!fde)
		return false;
	*start = fde->start;
	*end = fde->end;
	return true;
}
