// SPDX-License-Identifier: LGPL-2.1-or-later
// Shared between the files of elf/cfi.
#pragma once

#include "elf/cfi.h"
#include "elf/cfi_reader.h"

struct cfi_cie {
	uint32_t offset;  // in .eh_frame
	uint8_t encoding; // of pc values
	bool signal_frame;
	bool has_augmentation;
	uint64_t code_align;
	int64_t data_align;
	uint64_t ra; // register that holds the return address
	const uint8_t *insns;
	uint32_t len;
};

struct cfi_fde {
	vaddr_t start, end;
	uint32_t cie; // index
	uint32_t len;
	const uint8_t *insns;
};

struct cfi {
	const uint8_t *bytes;
	size_t size;
	vaddr_t addr;
	VEC(struct cfi_cie) cies; // ascending offsets
	VEC(struct cfi_fde) fdes; // ascending, as far as the file goes
};

// Runs the programs of an entry up to pc. False when they are damaged.
bool cfi_run(const struct cfi *c, const struct cfi_fde *fde, vaddr_t pc,
	     struct cfi_row *ret);
