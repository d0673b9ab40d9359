// SPDX-License-Identifier: LGPL-2.1-or-later
// A generation record out of a process's memory, as it is and with its checksum made right.
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "update/record.h"

const enum fuzz_shape fuzz_shape = FUZZ_BYTES;
const char *const fuzz_sections = "";

enum {
	STATE_AT = 12,
	SIZE_AT = 24,
	CHECKSUM_AT = 88,
	HEADER = 96
}; // docs/design.md, 2.7

static volatile size_t sink;

static void ask(const struct record *r)
{
	const struct entry_alias *alias;

	vec_for_each(im, &r->images)
		sink += strlen(im->path) + strlen(im->build_id);
	for (size_t i = 0; i < r->layout.homes.n && i < 64; i++) {
		layout_data(&r->layout, r->layout.homes.v[i].addr);
		layout_data(&r->layout,
			    r->layout.homes.v[i].addr + r->layout.homes.v[i].size);
	}
	for (size_t i = 0; i < r->layout.canonicals.n && i < 64; i++)
		layout_function(&r->layout, r->layout.canonicals.v[i].addr);
	for (size_t i = 0; i < r->layout.aliases.n && i < 64; i++)
		sink += layout_aliases(&r->layout, r->layout.aliases.v[i].addr, &alias);
}

// What is read must pack again to what it was read from.
static void round_trip(const struct record *r)
{
	struct record back = {0};
	enum record_state state;
	void *block = NULL;
	size_t size;
	struct err *e = record_pack(r, &block, &size);

	if (!e)
		e = record_unpack(block, size, &back, &state);
	if (e)
		__builtin_trap();
	if (back.images.n != r->images.n || back.layout.homes.n != r->layout.homes.n ||
	    back.layout.aliases.n != r->layout.aliases.n)
		__builtin_trap();
	record_deinit(&back);
	free(block);
}

static bool unpack(const uint8_t *data, size_t size)
{
	struct record r = {0};
	enum record_state state;
	struct err *e = record_unpack(data, size, &r, &state);
	bool good = !e;

	if (good) {
		ask(&r);
		round_trip(&r);
	}
	err_free(e);
	record_deinit(&r);
	return good;
}

static void fix_checksum(uint8_t *p, size_t size)
{
	uint64_t sum = 0xcbf29ce484222325, whole;

	memcpy(&whole, p + SIZE_AT, sizeof(whole));
	for (size_t i = 0; i < size && i < whole; i++) {
		bool out = (i >= STATE_AT && i < STATE_AT + 4) ||
			   (i >= CHECKSUM_AT && i < HEADER);

		sum = (sum ^ (out ? 0 : p[i])) * 0x100000001b3;
	}
	memcpy(p + CHECKSUM_AT, &sum, sizeof(sum));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (unpack(data, size) || size < HEADER)
		return 0;
	uint8_t *copy = malloc(size);
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	fix_checksum(copy, size);
	unpack(copy, size);
	free(copy);
	return 0;
}
