// SPDX-License-Identifier: LGPL-2.1-or-later
// Bounds of functions from .eh_frame (LSB 5.0, 10.6; DWARF exception header
// encodings, 10.5).
#include <stdlib.h>
#include <string.h>

#include "elf/image.h"

enum { MAX_AUGMENTATION = 16 }; // bytes; compilers write up to 6

enum {
	PE_ABSPTR = 0x00,
	PE_UDATA4 = 0x03,
	PE_SDATA4 = 0x0b,
	PE_UDATA8 = 0x04,
	PE_SDATA8 = 0x0c,
	PE_PCREL = 0x10,
	PE_OMIT = 0xff,
};

struct cursor {
	const uint8_t *p, *end;
	vaddr_t addr; // of p
};

static bool take(struct cursor *c, void *to, size_t n)
{
	if ((size_t)(c->end - c->p) < n)
		return false;
	if (to)
		memcpy(to, c->p, n);
	c->p += n;
	c->addr += n;
	return true;
}

static bool take_leb(struct cursor *c, uint64_t *ret)
{
	uint8_t b;

	*ret = 0;
	for (unsigned shift = 0; take(c, &b, 1); shift += 7) {
		if (shift < 64)
			*ret |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return true;
	}
	return false;
}

// A value of the encoding; only what compilers use for code: absolute or relative to its
// own place.
static bool take_encoded(struct cursor *c, uint8_t enc, uint64_t *ret)
{
	vaddr_t here = c->addr;
	int32_t s4;
	uint32_t u4;

	switch (enc & 0x0f) {
	case PE_ABSPTR:
	case PE_UDATA8:
	case PE_SDATA8:
		if (!take(c, ret, 8))
			return false;
		break;
	case PE_UDATA4:
		if (!take(c, &u4, 4))
			return false;
		*ret = u4;
		break;
	case PE_SDATA4:
		if (!take(c, &s4, 4))
			return false;
		*ret = (uint64_t)(int64_t)s4;
		break;
	default:
		return false;
	}
	if ((enc & 0xf0) == PE_PCREL)
		*ret += here;
	return (enc & 0xf0) == PE_PCREL || !(enc & 0xf0);
}

// The encoding of code addresses ('R' of the augmentation), PE_OMIT when the CIE makes no
// sense.
static uint8_t cie_encoding(struct cursor c)
{
	uint8_t version, enc = PE_ABSPTR, skip;
	uint64_t n;
	const char *aug;

	if (!take(&c, &version, 1))
		return PE_OMIT;
	aug = (const char *)c.p;
	size_t left = (size_t)(c.end - c.p);
	const uint8_t *nul =
		memchr(c.p, 0, left < MAX_AUGMENTATION ? left : MAX_AUGMENTATION);
	if (!nul || !take(&c, NULL, (size_t)(nul - c.p) + 1))
		return PE_OMIT;
	if (*aug != 'z')
		return *aug ? PE_OMIT : PE_ABSPTR;
	if (!take_leb(&c, &n) || !take_leb(&c, &n))
		return PE_OMIT;
	if (version == 1 ? !take(&c, &skip, 1) : !take_leb(&c, &n))
		return PE_OMIT;
	if (!take_leb(&c, &n))
		return PE_OMIT;
	while (*++aug) {
		switch (*aug) {
		case 'R':
			return take(&c, &enc, 1) ? enc : PE_OMIT;
		case 'L':
			if (!take(&c, &skip, 1))
				return PE_OMIT;
			break;
		case 'P':
			if (!take(&c, &skip, 1) || !take_encoded(&c, skip & 0x7f, &n))
				return PE_OMIT;
			break;
		case 'S':
		case 'B':
			break;
		default:
			return PE_OMIT;
		}
	}
	return enc;
}

static struct err *read_fde(struct module *m, struct cursor c, uint8_t enc)
{
	uint64_t start, size;

	if (enc == PE_OMIT || !take_encoded(&c, enc, &start) ||
	    !take_encoded(&c, enc & 0x0f, &size))
		return NULL;
	// Sections that the linker dropped leave FDEs at 0; nothing outside code can be a
	// function.
	if (!size || start + size < start || module_region(m, start) != REGION_TEXT ||
	    module_region(m, start + size - 1) != REGION_TEXT)
		return NULL;
	return vec_push(&m->fdes, (struct fde){.addr = start, .size = size});
}

static struct err *read_entries(struct module *m, const uint8_t *base, uint64_t size,
				vaddr_t addr)
{
	struct cursor c = {.p = base, .end = base + size, .addr = addr};
	const uint8_t *known_cie = NULL;
	uint8_t enc = PE_OMIT;
	uint32_t length, id;

	while (take(&c, &length, 4) && length) {
		uint64_t whole = length;

		if (length == UINT32_MAX && !take(&c, &whole, 8))
			break;
		if (whole < 4 || whole > (uint64_t)(c.end - c.p))
			return elf_corrupt(
				m->path, "an entry of .eh_frame at 0x%lx ends outside it",
				(unsigned long)c.addr);
		struct cursor entry = {.p = c.p, .end = c.p + whole, .addr = c.addr};
		const uint8_t *id_at = entry.p;

		take(&c, NULL, whole);
		take(&entry, &id, 4);
		if (!id)
			continue;
		// The id of an FDE is the distance back to its CIE, whose length word
		// comes first.
		if (id > (uint64_t)(id_at - base) || id < 8)
			continue;
		const uint8_t *cie = id_at - id;
		if (cie != known_cie) {
			uint32_t n;

			memcpy(&n, cie, 4);
			known_cie = cie;
			if (n < 4 || n > (uint64_t)(base + size - cie) - 4)
				enc = PE_OMIT;
			else
				enc = cie_encoding((struct cursor){.p = cie + 8,
								   .end = cie + 4 + n});
		}
		TRY(read_fde(m, entry, enc));
	}
	return NULL;
}

static bool eh_frame_from_header(const struct module *m, vaddr_t *ret)
{
	vec_for_each(s, &m->segments) {
		const uint8_t *p;
		struct cursor c;

		if (s->type != PT_GNU_EH_FRAME)
			continue;
		p = module_bytes(m, s->addr, s->filesz);
		if (!p || s->filesz < 8 || p[0] != 1)
			return false;
		c = (struct cursor){.p = p + 4, .end = p + s->filesz, .addr = s->addr + 4};
		return take_encoded(&c, p[1], ret);
	}
	return false;
}

static int by_addr(const void *a, const void *b)
{
	const struct fde *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

struct err *module_read_fdes(struct module *m)
{
	const struct section *s = image_section(m->image, ".eh_frame");
	const uint8_t *p = NULL;
	vaddr_t addr = 0;
	uint64_t size = 0;

	if (s && s->type != SHT_NOBITS) {
		addr = s->addr;
		size = s->size;
		p = section_bytes(m->image, s);
	} else if (eh_frame_from_header(m, &addr)) {
		vec_for_each(seg, &m->segments) {
			if (seg->type == PT_LOAD && addr >= seg->addr &&
			    addr - seg->addr < seg->filesz)
				size = seg->filesz - (addr - seg->addr);
		}
		p = size ? module_bytes(m, addr, size) : NULL;
	}
	if (p)
		TRY(read_entries(m, p, size, addr));
	if (m->fdes.n)
		qsort(m->fdes.v, m->fdes.n, sizeof(struct fde), by_addr);
	return NULL;
}
