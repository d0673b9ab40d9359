// SPDX-License-Identifier: LGPL-2.1-or-later
// What decoding hands to the classification of references. Private to diff/.
#pragma once

#include "diff/body.h"

struct decoding {
	const struct module *m;
	struct body *b;
	// For each byte of the parts, one part behind the other: the instruction that starts there (for a
	// NOP the one that follows it), UINT32_MAX inside instructions.
	uint32_t *starts;
	size_t n_starts;
};

// The instruction of the body that control reaches at `addr`, UINT32_MAX when none starts there.
uint32_t decoding_index(const struct decoding *d, vaddr_t addr);
bool decoding_covers(const struct decoding *d, vaddr_t addr);

// Fills in ref and target_index of all instructions, and the jump tables.
struct err *classify_references(struct decoding *d) must_check;
struct err *find_jump_tables(struct decoding *d) must_check;

// For programs linked to fixed addresses: is the number of an instruction an address, and which thing
// does it mean (equal in both programs if it is the same)?
bool is_absolute(const struct module *m, uint64_t value);
uint64_t absolute_meaning(const struct decoding *d, uint64_t value);

uint64_t hash_mix(uint64_t a, uint64_t b);
