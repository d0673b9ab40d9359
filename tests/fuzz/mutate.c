// SPDX-License-Identifier: LGPL-2.1-or-later
// Mutates ELF files inside their sections and headers, so that most changes get past the first checks;
// libFuzzer's own mutations do the rest.
#include <elf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

struct area {
	uint8_t *p;
	size_t n;
};

enum { MAX_SECTIONS = 128 };

static bool section_wanted(const uint8_t *names, uint64_t size, uint32_t at)
{
	size_t n = strlen(fuzz_sections);

	return names && at < size && size - at > n &&
	       !memcmp(names + at, fuzz_sections, n);
}

// A section with bytes in the file, most often one that the target reads; the whole file when there is none.
static struct area pick_section(struct area file, unsigned *seed)
{
	struct area found[MAX_SECTIONS], preferred[MAX_SECTIONS];
	size_t n = 0, n_preferred = 0;
	const uint8_t *names = NULL;
	uint64_t names_size = 0;
	Elf64_Ehdr h;

	if (file.n < sizeof(h))
		return file;
	memcpy(&h, file.p, sizeof(h));
	if (h.e_shoff > file.n || (file.n - h.e_shoff) / sizeof(Elf64_Shdr) < h.e_shnum)
		return file;
	const uint8_t *table = file.p + h.e_shoff;
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < h.e_shnum && n < MAX_SECTIONS; i++) {
			Elf64_Shdr s;

			memcpy(&s, table + i * sizeof(s), sizeof(s));
			if (s.sh_type == SHT_NOBITS || !s.sh_size ||
			    s.sh_offset > file.n || s.sh_size > file.n - s.sh_offset)
				continue;
			struct area a = {file.p + s.sh_offset, s.sh_size};
			if (!pass && i == h.e_shstrndx) {
				names = a.p;
				names_size = a.n;
			}
			if (!pass)
				continue;
			found[n++] = a;
			if (section_wanted(names, names_size, s.sh_name))
				preferred[n_preferred++] = a;
		}
	}
	if (n_preferred && rand_r(seed) % 4)
		return preferred[(size_t)rand_r(seed) % n_preferred];
	if (n && rand_r(seed) % 4)
		return found[(size_t)rand_r(seed) % n];
	if (rand_r(seed) % 2) // the headers
		return (struct area){file.p, file.n < 1024 ? file.n : 1024};
	return (struct area){file.p + h.e_shoff, h.e_shnum * sizeof(Elf64_Shdr)};
}

static void put_number(struct area a, unsigned *seed)
{
	static const uint64_t odd[] = {0,
				       1,
				       0x7f,
				       0x80,
				       0xff,
				       0x7fff,
				       0xffff,
				       0x7fffffff,
				       0x80000000,
				       0xffffffff,
				       0xfffffff0,
				       0x7fffffffffffffff,
				       0x8000000000000000,
				       0xffffffffffffffff,
				       0xfffffffffffff000};
	size_t width = (size_t)1 << rand_r(seed) % 4;
	uint64_t v = 0;

	if (width > a.n)
		width = 1;
	size_t at = (size_t)rand_r(seed) % (a.n - width + 1);
	memcpy(&v, a.p + at, width);
	switch (rand_r(seed) % 4) {
	case 0:
		v = odd[(size_t)rand_r(seed) % (sizeof(odd) / sizeof(*odd))];
		break;
	case 1:
		v += (uint64_t)(rand_r(seed) % 33) - 16;
		break;
	case 2:
		v ^= 1ULL << rand_r(seed) % (8 * width);
		break;
	default:
		v = (uint64_t)rand_r(seed) << 32 ^ (uint64_t)rand_r(seed);
	}
	memcpy(a.p + at, &v, width);
}

// Moves a run of bytes to another place of the area, or to a whole one from elsewhere in it.
static void copy_run(struct area a, unsigned *seed)
{
	size_t n = 1 + (size_t)rand_r(seed) % 32;

	if (n >= a.n)
		return;
	memmove(a.p + (size_t)rand_r(seed) % (a.n - n),
		a.p + (size_t)rand_r(seed) % (a.n - n), n);
}

static void mutate_elf(struct area file, unsigned *seed)
{
	if (!file.n)
		return;
	for (int i = 1 + rand_r(seed) % 4; i; i--) {
		struct area a = pick_section(file, seed);

		switch (a.n ? rand_r(seed) % 8 : 8) {
		case 0:
			copy_run(a, seed);
			break;
		case 1:
		case 2: // knows the values that comparisons waited for
			LLVMFuzzerMutate(a.p, a.n < 64 ? a.n : 64, a.n < 64 ? a.n : 64);
			break;
		case 8:
			break;
		default:
			put_number(a, seed);
		}
	}
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	struct area file = {data, size};
	uint32_t first;

	if (fuzz_shape == FUZZ_BYTES || rand_r(&seed) % 8 == 0)
		return LLVMFuzzerMutate(data, size, max);
	if (fuzz_shape == FUZZ_TWO_ELF) {
		if (size < sizeof(first))
			return LLVMFuzzerMutate(data, size, max);
		memcpy(&first, data, sizeof(first));
		if (first > size - sizeof(first))
			return LLVMFuzzerMutate(data, size, max);
		bool second = rand_r(&seed) % 2;

		file.p = data + sizeof(first) + (second ? first : 0);
		file.n = second ? size - sizeof(first) - first : first;
	}
	mutate_elf(file, &seed);
	return size;
}
