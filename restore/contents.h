// SPDX-License-Identifier: LGPL-2.1-or-later
// The private memory of a process that is rebuilt.
#pragma once

#include "restore/space.h"

// Writes what the core has of the mappings that cannot wait; of the others.
struct err *contents_write(struct build *b) must_check;
struct err *contents_write_lazy(struct build *b) must_check;
