// SPDX-License-Identifier: LGPL-2.1-or-later
// The bytes of a file that no path leads to any more, in the objects document: "size" and "content", an array of
// {"offset", "bytes"} for what is no hole.
#pragma once

#include "resource/kinds.h"

// fd is readable. Refuses when there is too much of it.
struct err *content_save(const struct open_file *f, int fd, json_t *object) must_check;
// fd is an empty file, writable.
struct err *content_fill(int fd, const json_t *object) must_check;
