// SPDX-License-Identifier: LGPL-2.1-or-later
// Reading a core block by block, each compared with the hash that the manifest has of it.
#include <string.h>
#include <sys/param.h>

#include "image/impl.h"

struct err *core_read_block(const struct core *c, uint64_t index, void *buf, size_t *len)
{
	const char *want = core_block_hash(c, index);
	uint64_t from = index * CORE_BLOCK;
	char have[CORE_HASH_LEN + 1];

	if (!want || index > UINT64_MAX / CORE_BLOCK || from >= core_size(c))
		return image_corrupt(core_name(c), "it has no block %llu",
				     (unsigned long long)index);
	*len = MIN(core_size(c) - from, CORE_BLOCK);
	TRY(read_all(core_fd(c), core_name(c), buf, *len, from));
	block_hash(buf, *len, have);
	if (strcmp(have, want) != 0)
		return image_corrupt(core_name(c), "bytes %llu to %llu are damaged",
				     (unsigned long long)from,
				     (unsigned long long)(from + *len - 1));
	return NULL;
}
