// SPDX-License-Identifier: LGPL-2.1-or-later
// Compressed cores: core.PID.zst, one zstd frame with a checksum.
#pragma once

#include "image/image.h"

// Compresses the core that an entry of the manifest names, removes the plain one and changes the entry.
struct err *core_compress(int dir, json_t *manifest_entry) must_check;

// Hashes of the blocks of what it unpacks to, which must be exactly `size` bytes.
struct err *hash_compressed(int fd, const char *label, uint64_t size, json_t **ret)
	must_check;
