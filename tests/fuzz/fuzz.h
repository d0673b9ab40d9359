// SPDX-License-Identifier: LGPL-2.1-or-later
// What a fuzz target gives: its one function, and how its inputs are mutated.
#pragma once

#include <stddef.h>
#include <stdint.h>

// Reads the bytes as its subject does. Returns 0; findings are what the sanitisers end it with.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum fuzz_shape {
	FUZZ_BYTES,  // no structure that the mutator knows
	FUZZ_ELF,    // one ELF file
	FUZZ_TWO_ELF // 4 bytes length of the first, the first, the second
};

extern const enum fuzz_shape fuzz_shape;

// What the names of the sections that matter most begin with, "" for all alike.
extern const char *const fuzz_sections;
