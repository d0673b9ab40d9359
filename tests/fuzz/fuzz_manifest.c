// SPDX-License-Identifier: LGPL-2.1-or-later
// manifest.json and seal.
#include <string.h>

#include "image/store_impl.h"
#include "tests/fuzz/fuzz.h"

const enum fuzz_shape fuzz_shape = FUZZ_BYTES;
const char *const fuzz_sections = "";

static volatile size_t sink;

// A good one has what its readers take for granted.
static void ask(const json_t *m)
{
	const json_t *processes = json_object_get(m, "processes"), *p;
	size_t i;

	json_array_foreach(processes, i, p)
	{
		const char *name = json_string_value(json_object_get(p, "core"));
		pid_t pid = (pid_t)json_integer_value(json_object_get(p, "pid"));

		if (!name || strchr(name, '/') || manifest_process(m, pid) != p)
			__builtin_trap();
		sink += core_is_compressed(name);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *m = NULL;

	err_free(manifest_parse((const char *)data, size, "000002", &m));
	if (m)
		ask(m);
	json_decref(m);
	m = NULL;
	err_free(seal_parse((const char *)data, size, "seal", &m));
	if (m) {
		seal_holds(m, "files", "core.1", 0);
		seal_holds(m, "modules", "ab", 0);
	}
	json_decref(m);
	return 0;
}
