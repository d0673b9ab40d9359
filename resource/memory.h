// SPDX-License-Identifier: LGPL-2.1-or-later
// Memory objects (objects["memory"]) that descriptors lead to as well: memfds and deleted files with mappings.
#pragma once

#include "resource/kinds.h"

// The memory object of this inode, at *index of objects["memory"]; NULL: none.
const json_t *memory_find(const struct saving *all, dev_t dev, ino_t ino, size_t *index);
// The descriptor of the memory object that member "memory" names; stays the restoring's.
struct err *memory_fd(const struct restoring *all, const json_t *object, int *fd)
	must_check;
