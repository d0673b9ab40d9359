// SPDX-License-Identifier: LGPL-2.1-or-later
// The text of /proc/PID/maps, and the search for a hole between the mappings.
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "process/maps.h"

const enum fuzz_shape fuzz_shape = FUZZ_BYTES;
const char *const fuzz_sections = "";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	struct maps maps = {0};
	struct err *e = text ? maps_parse(text, &maps) : err_nomem();

	if (e) {
		err_free(e);
		free(text);
		return 0;
	}
	for (size_t i = 0; i < maps.v.n && i < 64; i++) {
		const struct mapping *m = &maps.v.v[i];

		maps_at(&maps, m->start);
		maps_at(&maps, m->end);
		maps_find_hole(&maps, m->start, m->end, 0x10000, 0x1000);
		maps_find_hole(&maps, m->start, m->end, 1, 0);
	}
	maps_deinit(&maps);
	free(text);
	return 0;
}
