// SPDX-License-Identifier: LGPL-2.1-or-later
// The notes of a core with good headers and two pages of memory.
#include "tests/fuzz/fuzz_core.h"

const enum fuzz_shape fuzz_shape = FUZZ_BYTES;
const char *const fuzz_sections = "";

enum { MEMORY = 2 * CORE_PAGE };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t head = CORE_PAGE + MEMORY;
	uint8_t *file = calloc(1, head + size);
	Elf64_Ehdr e = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
				    ELFDATA2LSB, EV_CURRENT},
			.e_type = ET_CORE,
			.e_machine = EM_X86_64,
			.e_phoff = sizeof(e),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 1};
	Elf64_Phdr ph = {.p_type = PT_NOTE, .p_offset = head, .p_filesz = size};

	if (!file)
		return 0;
	memcpy(file, &e, sizeof(e));
	memcpy(file + sizeof(e), &ph, sizeof(ph));
	if (size)
		memcpy(file + head, data, size);
	ask_core(file, head + size);
	free(file);
	return 0;
}
