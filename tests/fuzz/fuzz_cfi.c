// SPDX-License-Identifier: LGPL-2.1-or-later
// The bytes of .eh_frame: index, the programs of its entries, and a step to the caller by each row.
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "elf/cfi.h"
#include "elf/cfi_internal.h"

const enum fuzz_shape fuzz_shape = FUZZ_BYTES;
const char *const fuzz_sections = "";

enum { MAX_ASKED = 64 };
static const vaddr_t table_addr = 0x402000; // as the seeds' have

// A target whose memory holds its own addresses, except for a page that cannot be read.
static bool read_target(void *arg, taddr_t addr, void *buf, size_t len)
{
	(void)arg;
	if (addr >> 12 == 0x7fff0 || len > 8)
		return false;
	memcpy(buf, &addr, len);
	return true;
}

static void step(const struct cfi_row *row)
{
	struct cfi_regs regs = {.known = UINT32_MAX >> 15};
	struct cfi_caller up;

	for (unsigned i = 0; i < CFI_REGS; i++)
		regs.v[i] = 0x7fff0f00 + i * 8;
	for (int i = 0; i < 4 && cfi_step(row, &regs, read_target, NULL, &up) == CFI_OK;
	     i++)
		regs = up.regs;
	if (!cfi_row_equal(row, row))
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cfi *c = NULL;
	struct cfi_row row;
	struct err *e = cfi_open_bytes(data, size, table_addr, &c);

	if (e) {
		err_free(e);
		return 0;
	}
	for (size_t i = 0; i < c->fdes.n && i < MAX_ASKED; i++) {
		const struct cfi_fde *f = &c->fdes.v[i];
		const vaddr_t at[] = {f->start,	    f->start + 1,
				      f->start + 4, f->start + (f->end - f->start) / 2,
				      f->end - 1,   f->end};
		vaddr_t start, end;

		for (size_t k = 0; k < sizeof(at) / sizeof(*at); k++) {
			if (cfi_find(c, at[k], &row))
				step(&row);
			if (cfi_range(c, at[k], &start, &end) &&
			    (at[k] < start || at[k] >= end))
				__builtin_trap();
		}
	}
	cfi_free(c);
	return 0;
}
