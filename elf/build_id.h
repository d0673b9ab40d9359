// SPDX-License-Identifier: LGPL-2.1-or-later
// The build-id of a file, read without opening it as a module.
#pragma once

#include <stdbool.h>

enum { BUILD_ID_MAX = 65 }; // hex and NUL

// Whether the file is an ELF file; its build-id in hex, empty when it has none.
bool elf_build_id(int fd, char ret[BUILD_ID_MAX]);
