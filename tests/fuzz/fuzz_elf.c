// SPDX-License-Identifier: LGPL-2.1-or-later
// One ELF file: headers, segments, sections, symbols, relocations, dynamic section, notes, and what is
// asked of a module afterwards.
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "elf/module.h"

const enum fuzz_shape fuzz_shape = FUZZ_ELF;
const char *const fuzz_sections = "";

enum { MAX_ASKED = 256 };

static void ask_at(const struct module *m, vaddr_t addr)
{
	uint8_t buf[64];
	const uint8_t *p = module_bytes(m, addr, sizeof(buf));

	// What is given must be readable; a copy is the test.
	if (p)
		memcpy(buf, p, sizeof(buf));
	if (module_read(m, addr, buf, sizeof(buf)) && p && memcmp(buf, p, sizeof(buf)))
		__builtin_trap();
	module_region(m, addr);
	module_symbol_at(m, addr, ~0u);
	module_symbol_at(m, addr, 1u << STT_FUNC);
	module_reloc_at(m, addr);
	module_fde_at(m, addr);
}

static void ask(const struct module *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->symbols.n && n < MAX_ASKED; i++, n++) {
		const struct symbol *s = &m->symbols.v[i];

		ask_at(m, s->addr);
		ask_at(m, s->addr + s->size - 1);
		if (!module_symbol_named(m, s->name))
			__builtin_trap();
	}
	for (size_t i = 0; i < m->relocs.n && i < MAX_ASKED; i++)
		ask_at(m, m->relocs.v[i].addr);
	for (size_t i = 0; i < m->fdes.n && i < MAX_ASKED; i++)
		ask_at(m, m->fdes.v[i].addr);
	for (size_t i = 0; i < m->segments.n && i < MAX_ASKED; i++) {
		ask_at(m, m->segments.v[i].addr);
		ask_at(m, m->segments.v[i].addr + m->segments.v[i].memsz - 1);
	}
	for (size_t i = 0; i < m->needed.n; i++)
		n += strlen(m->needed.v[i]);
	ask_at(m, 0);
	ask_at(m, UINT64_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct module *m = NULL;
	struct err *e = module_open_memory("fuzz", data, size, &m);

	if (e) {
		err_free(e);
		return 0;
	}
	ask(m);
	module_close(m);
	return 0;
}
