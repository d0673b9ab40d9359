// SPDX-License-Identifier: LGPL-2.1-or-later
// The private memory of a process that is rebuilt.
#pragma once

#include "restore/space.h"

// Writes what the core has of the mappings that cannot wait, or of all.
struct err *contents_write(struct build *b, bool all) must_check;
