// SPDX-License-Identifier: LGPL-2.1-or-later
// Source lines of addresses. libdw runs the line programs, and keeps those that it has
// run.
#include <dwarf.h>
#include <limits.h>

#include "elf/dies.h"
#include "elf/dwarf_info.h"

static bool line_in_unit(Dwarf_Die *unit, vaddr_t addr, struct source_pos *ret)
{
	Dwarf_Line *line = dwarf_getsrc_die(unit, addr);
	Dwarf_Attribute attr;
	const char *file, *dir;
	int number;
	size_t n;

	if (!line || dwarf_lineno(line, &number))
		return false;
	file = dwarf_linesrc(line, NULL, NULL);
	if (!file)
		return false;
	dir = dwarf_formstring(dwarf_attr(unit, DW_AT_comp_dir, &attr));
	n = dir ? strlen(dir) : 0;
	if (n && !strncmp(file, dir, n) && file[n] == '/')
		file += n + 1;
	*ret = (struct source_pos){file, number};
	return true;
}

// clang writes no .debug_aranges, so that libdw finds no unit by address.
static bool search_units(Dwarf *dwarf, vaddr_t addr, struct source_pos *ret)
{
	Dwarf_Off off = 0, next;
	size_t head;

	for (; !dwarf_nextcu(dwarf, off, &next, &head, NULL, NULL, NULL); off = next) {
		Dwarf_Die unit;

		if (dwarf_offdie(dwarf, off + head, &unit) && dwarf_haspc(&unit, addr) > 0)
			return line_in_unit(&unit, addr, ret);
	}
	return false;
}

bool dwarf_line(const struct module *m, vaddr_t addr, struct source_pos *ret)
{
	Dwarf_Die unit;

	if (!module_dwarf(m))
		return false;
	if (dwarf_addrdie(module_dwarf(m), addr, &unit) && line_in_unit(&unit, addr, ret))
		return true;
	return search_units(module_dwarf(m), addr, ret);
}

bool dwarf_names_line(const struct dwarf_names *n, const struct module *m, vaddr_t addr,
		      struct source_pos *ret)
{
	size_t lo = 0, hi = n->ranges.n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (n->ranges.v[mid].start <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo && addr < n->ranges.v[lo - 1].end) {
		const struct die_unit *u = &n->dies->units.v[n->ranges.v[lo - 1].unit];
		Dwarf_Die unit;

		if (u->source == 0 && u->die < n->dies->dies.n &&
		    dwarf_offdie(module_dwarf(m), n->dies->dies.v[u->die].off, &unit))
			return line_in_unit(&unit, addr, ret);
	}
	return dwarf_line(m, addr, ret);
}
