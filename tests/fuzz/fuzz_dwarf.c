// SPDX-License-Identifier: LGPL-2.1-or-later
// The debugging information of one ELF file: entries, types, scopes, ranges, fields, source lines.
#include "tests/fuzz/fuzz.h"

#include "diff/types.h"
#include "elf/dies.h"
#include "elf/dwarf_info.h"
#include "elf/type_die.h"
#include "elf/type_fields.h"
#include "util/arena.h"

const enum fuzz_shape fuzz_shape = FUZZ_ELF;
const char *const fuzz_sections = ".debug";

enum { MAX_ASKED = 64, MAX_FIELD_BYTES = 1 << 16 };

static void ask_entries(const struct dies *d)
{
	void *arena = NULL;
	size_t n = 0;

	vec_for_each(e, &d->dies) {
		if (n++ > 4 * MAX_ASKED)
			break;
		type_size(d, e->off);
		type_is_const(d, e->off);
		type_name(d, e->off, &arena);
		die_qualified_name(d, e, &arena);
		dies_file(d, e);
		for (const struct die *c = dies_child(d, e); c; c = dies_sibling(d, c)) {
			uint64_t bit, bits;

			if (dies_parent(d, c) != e)
				__builtin_trap();
			member_bits(d, c, &bit, &bits);
		}
	}
	arena_free(&arena);
}

static void ask_fields(const struct dwarf_names *n)
{
	for (size_t i = 0; i < n->vars.n && i < MAX_ASKED; i++) {
		const struct dwarf_var *v = &n->vars.v[i];
		struct type_fields f = {0};
		uint64_t size = v->size > MAX_FIELD_BYTES ? MAX_FIELD_BYTES : v->size,
			 at = 0;
		struct err *e = type_fields(n, v->die, size, &f);

		if (e) {
			err_free(e);
			continue;
		}
		// Every byte has one owner, if anything is known.
		vec_for_each(it, &f.v) {
			if (it->offset != at || !it->size)
				__builtin_trap();
			at += it->size;
		}
		if (f.v.n && at != size)
			__builtin_trap();
		type_fields_deinit(&f);
	}
}

static void ask_lines(const struct module *m, const struct dwarf_names *n)
{
	struct source_pos pos;

	for (size_t i = 0; i < n->funcs.n && i < MAX_ASKED; i++) {
		dwarf_names_line(n, m, n->funcs.v[i].addr, &pos);
		dwarf_line(m, n->funcs.v[i].addr + 1, &pos);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dwarf_names n = {0};
	struct module *m = NULL;
	struct err *e = module_open_memory("fuzz", data, size, &m);

	if (!e)
		e = dwarf_names_read(m, &n);
	if (!e) {
		ask_entries(n.dies);
		ask_fields(&n);
		ask_lines(m, &n);
		dwarf_names_deinit(&n);
	}
	err_free(e);
	module_close(m);
	return 0;
}
