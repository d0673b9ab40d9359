// SPDX-License-Identifier: LGPL-2.1-or-later
// Memory objects that descriptors lead to; see memory.h.
#include "resource/memory.h"

const json_t *memory_find(const struct saving *all, dev_t dev, ino_t ino, size_t *index)
{
	const json_t *list = json_object_get(all->objects, "memory"), *m;

	for (size_t i = 0; i < json_array_size(list); i++) {
		m = json_array_get(list, i);
		if (json_has(m, "ino") &&
		    (ino_t)json_integer_value(json_object_get(m, "ino")) == ino &&
		    (dev_t)json_integer_value(json_object_get(m, "dev")) == dev) {
			*index = i;
			return m;
		}
	}
	return NULL;
}

struct err *memory_fd(const struct restoring *all, const json_t *object, int *fd)
{
	uint64_t i;

	TRY(json_get_u64(object, "memory", INT32_MAX, &i));
	if (i >= all->n_memory || all->memory[i] < 0)
		return err_new(
			ERR_CORRUPT,
			"member 'memory' names object %llu, which has no descriptor",
			(unsigned long long)i);
	*fd = all->memory[i];
	return NULL;
}
