// SPDX-License-Identifier: LGPL-2.1-or-later
// Copies for debuggers of one ELF file: what is written must be an ELF file again.
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#include "elf/rebind.h"
#include "util/cleanup.h"

const enum fuzz_shape fuzz_shape = FUZZ_ELF;
const char *const fuzz_sections = ".debug";

static vaddr_t moved(void *arg, vaddr_t addr)
{
	(void)arg;
	return addr - 0x12345678;
}

static void read_again(const uint8_t *bytes, size_t size)
{
	_cleanup_(module_closep) struct module *m = NULL;
	struct err *e = module_open_memory("copy", bytes, size, &m);

	if (e && e->kind == ERR_REFUSED)
		__builtin_trap();
	err_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct rebind_rules rules = {.data = moved, .function = moved};
	_cleanup_(module_closep) struct module *m = NULL;
	struct err *e = module_open_memory("fuzz", data, size, &m);

	for (int old = 0; !e && old < 2; old++) {
		_cleanup_free_ uint8_t *bytes = NULL;
		size_t n = 0;

		e = old ? rebind_old_file(m, 1, &bytes, &n)
			: rebind_file(m, &rules, &bytes, &n);
		if (!e)
			read_again(bytes, n);
	}
	err_free(e);
	return 0;
}
