// SPDX-License-Identifier: LGPL-2.1-or-later
// A core: headers, notes and memory.
#include "tests/fuzz/fuzz_core.h"

const enum fuzz_shape fuzz_shape = FUZZ_BYTES;
const char *const fuzz_sections = "";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ask_core(data, size);
	return 0;
}
