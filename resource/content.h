// SPDX-License-Identifier: LGPL-2.1-or-later
// The bytes of a file that no path leads to any more, in the objects document: "size" and "content", an array of
// {"offset", "bytes"} for what is no hole.
#pragma once

#include "resource/kinds.h"

// fd is readable. What the memory object (objects["memory"], NULL: none) has is left out. Refuses when there is too much of it.
struct err *content_save(const struct open_file *f, int fd, const json_t *memory,
			 json_t *object) must_check;
// fd is writable, and empty but for what a memory object has.
struct err *content_fill(int fd, const json_t *object) must_check;
