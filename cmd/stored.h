// SPDX-License-Identifier: GPL-2.0-or-later
// What list, show, rm, prune and verify share: texts of a manifest.
#pragma once

#include "cmd/cmd.h"
#include "image/store.h"

// Texts for people, escaped, at most `size` bytes; "-" for what is not there.
void stored_text(const json_t *manifest, const char *name, char *buf, size_t size);
void stored_time(const json_t *manifest, char *buf, size_t size);
void stored_size(const json_t *manifest, char *buf, size_t size);
void format_bytes(uint64_t bytes, char *buf, size_t size);

// A copy of a member for --json: null when it is not there, a path that is no UTF-8 as readable text.
json_t *stored_json(const json_t *manifest, const char *name);
