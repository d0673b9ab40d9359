// SPDX-License-Identifier: LGPL-2.1-or-later
// The JSON of a saved process, and of what processes share, in a core that is good otherwise: STATE, a NUL byte, OBJECTS.
#include "tests/fuzz/fuzz_core.h"

const enum fuzz_shape fuzz_shape = FUZZ_BYTES;
const char *const fuzz_sections = "";

static size_t put_note(uint8_t *to, uint32_t type, const void *desc, size_t len)
{
	Elf64_Nhdr h = {sizeof("molt"), (Elf64_Word)len, type};

	memcpy(to, &h, sizeof(h));
	memcpy(to + sizeof(h), "molt", sizeof("molt"));
	if (len)
		memcpy(to + sizeof(h) + 8, desc, len);
	return sizeof(h) + 8 + ((len + 3) & ~(size_t)3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t state = size ? strnlen((const char *)data, size) : 0, at = CORE_PAGE;
	uint8_t *file = calloc(1, CORE_PAGE + size + 256);
	Elf64_Ehdr e = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
				    ELFDATA2LSB, EV_CURRENT},
			.e_type = ET_CORE,
			.e_machine = EM_X86_64,
			.e_phoff = sizeof(e),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 1};
	Elf64_Phdr ph = {.p_type = PT_NOTE, .p_offset = CORE_PAGE};

	if (!file)
		return 0;
	at += put_note(file + at, NOTE_STATE, data, state);
	if (state < size)
		at += put_note(file + at, NOTE_OBJECTS, data + state + 1,
			       size - state - 1);
	at += put_note(file + at, NOTE_PAGES, NULL, 0);
	ph.p_filesz = at - CORE_PAGE;
	memcpy(file, &e, sizeof(e));
	memcpy(file + sizeof(e), &ph, sizeof(ph));
	ask_core(file, at);
	free(file);
	return 0;
}
