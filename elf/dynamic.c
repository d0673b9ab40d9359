// SPDX-License-Identifier: LGPL-2.1-or-later
// PT_DYNAMIC: needed libraries, arrays, and the names of symbol versions.
#include <string.h>

#include "elf/dynamic.h"
#include "elf/image.h"

bool module_dynamic(const struct module *m, int64_t tag, uint64_t *ret)
{
	const uint8_t *p =
		m->has_dynamic ? module_bytes(m, m->dynamic, m->dynamic_size) : NULL;
	Elf64_Dyn d;

	if (!p)
		return false;
	for (uint64_t n = m->dynamic_size / sizeof(d); n; n--, p += sizeof(d)) {
		memcpy(&d, p, sizeof(d));
		if (d.d_tag == DT_NULL)
			return false;
		if (d.d_tag == tag) {
			*ret = d.d_un.d_val;
			return true;
		}
	}
	return false;
}

static void find_strings(struct module *m)
{
	uint64_t addr, size;

	if (!module_dynamic(m, DT_STRTAB, &addr) || !module_dynamic(m, DT_STRSZ, &size))
		return;
	m->dynamic_strings = module_bytes(m, addr, size);
	m->dynamic_strings_size = size;
}

const char *dynamic_string(const struct module *m, uint64_t index)
{
	return table_string(m->dynamic_strings, m->dynamic_strings_size, index);
}

static struct err *read_needed(struct module *m)
{
	const uint8_t *p = module_bytes(m, m->dynamic, m->dynamic_size);
	Elf64_Dyn d;

	for (uint64_t n = m->dynamic_size / sizeof(d); n; n--, p += sizeof(d)) {
		memcpy(&d, p, sizeof(d));
		if (d.d_tag == DT_NULL)
			break;
		if (d.d_tag != DT_NEEDED)
			continue;
		const char *name = dynamic_string(m, d.d_un.d_val);
		if (!name)
			return elf_corrupt(m->path, "the name of a needed library lies "
						    "outside the dynamic strings");
		TRY(vec_push(&m->needed, name));
	}
	return NULL;
}

static struct err *read_array(struct module *m, int64_t addr_tag, int64_t size_tag,
			      vaddr_t *addr, uint64_t *size)
{
	if (!module_dynamic(m, addr_tag, addr) || !module_dynamic(m, size_tag, size)) {
		*addr = *size = 0;
		return NULL;
	}
	if (*size && !module_bytes(m, *addr, *size))
		return elf_corrupt(
			m->path, "the array of %s at 0x%lx lies outside the file",
			addr_tag == DT_INIT_ARRAY ? "constructors" : "destructors",
			(unsigned long)*addr);
	return NULL;
}

// A file has at most one entry for each index; overlapping ones could be read for hours.
enum { MAX_VERSIONS = 0x8000 };

static struct err *set_version(struct module *m, unsigned index, uint64_t name,
			       unsigned *seen)
{
	const char *s = dynamic_string(m, name);

	if (++*seen > MAX_VERSIONS)
		return elf_corrupt(m->path, "it has more than %d versions", MAX_VERSIONS);

	index &= 0x7fff;
	if (!s)
		return elf_corrupt(m->path,
				   "a version name lies outside the dynamic strings");
	while (m->versions.n <= index)
		TRY(vec_push(&m->versions, NULL));
	m->versions.v[index] = s;
	return NULL;
}

static struct err *read_verneed(struct module *m)
{
	unsigned seen = 0;
	uint64_t at, n;

	if (!module_dynamic(m, DT_VERNEED, &at) || !module_dynamic(m, DT_VERNEEDNUM, &n))
		return NULL;
	while (n--) {
		const uint8_t *p = module_bytes(m, at, sizeof(Elf64_Verneed));
		Elf64_Verneed need;

		if (!p)
			return elf_corrupt(m->path,
					   "the needed versions lie outside the file");
		memcpy(&need, p, sizeof(need));
		uint64_t aux = at + need.vn_aux;
		for (unsigned i = 0; i < need.vn_cnt; i++) {
			Elf64_Vernaux v;

			p = module_bytes(m, aux, sizeof(v));
			if (!p)
				return elf_corrupt(
					m->path,
					"the needed versions lie outside the file");
			memcpy(&v, p, sizeof(v));
			TRY(set_version(m, v.vna_other, v.vna_name, &seen));
			if (!v.vna_next)
				break;
			aux += v.vna_next;
		}
		if (!need.vn_next)
			break;
		at += need.vn_next;
	}
	return NULL;
}

static struct err *read_verdef(struct module *m)
{
	unsigned seen = 0;
	uint64_t at, n;

	if (!module_dynamic(m, DT_VERDEF, &at) || !module_dynamic(m, DT_VERDEFNUM, &n))
		return NULL;
	while (n--) {
		const uint8_t *p = module_bytes(m, at, sizeof(Elf64_Verdef));
		Elf64_Verdef def;
		Elf64_Verdaux v;

		if (p) {
			memcpy(&def, p, sizeof(def));
			p = module_bytes(m, at + def.vd_aux, sizeof(v));
		}
		if (!p)
			return elf_corrupt(m->path,
					   "the defined versions lie outside the file");
		memcpy(&v, p, sizeof(v));
		if (!(def.vd_flags & VER_FLG_BASE))
			TRY(set_version(m, def.vd_ndx, v.vda_name, &seen));
		if (!def.vd_next)
			break;
		at += def.vd_next;
	}
	return NULL;
}

struct err *module_read_dynamic(struct module *m)
{
	uint64_t flags = 0;

	m->pie = m->type == ET_DYN && m->has_interp;
	if (!m->has_dynamic)
		return NULL;
	if (!module_bytes(m, m->dynamic, m->dynamic_size))
		return elf_corrupt(m->path,
				   "the dynamic section at 0x%lx lies outside the file",
				   (unsigned long)m->dynamic);
	if (m->type == ET_DYN && module_dynamic(m, DT_FLAGS_1, &flags) &&
	    (flags & DF_1_PIE))
		m->pie = true;
	find_strings(m);
	TRY(read_needed(m));
	TRY(read_array(m, DT_INIT_ARRAY, DT_INIT_ARRAYSZ, &m->init_array,
		       &m->init_array_size));
	TRY(read_array(m, DT_FINI_ARRAY, DT_FINI_ARRAYSZ, &m->fini_array,
		       &m->fini_array_size));
	TRY(read_verneed(m));
	return read_verdef(m);
}

const char *module_soname(const struct module *m)
{
	uint64_t index;

	return module_dynamic(m, DT_SONAME, &index) ? dynamic_string(m, index) : NULL;
}
