// SPDX-License-Identifier: LGPL-2.1-or-later
// Incremental checkpoints: pages that are in the parent are not written again. What is compared is their bytes, so that nothing
// rests on which process the parent was of.
#pragma once

#include "checkpoint/transfer.h"

// Writes the pieces but for what equals the parent's pages; those are appended to *same.
struct err *compare_write(struct memory *m, const struct pieces *pieces,
			  struct page_ranges *same) must_check;
