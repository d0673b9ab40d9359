// SPDX-License-Identifier: LGPL-2.1-or-later
// Pages that are all zero take no room.
#pragma once

#include "checkpoint/pages.h"
#include "checkpoint/transfer.h"

// Appends the zero pages among those that stand in the file.
struct err *zeros_find(int fd, const struct pieces *pieces, struct page_ranges *ret)
	must_check;
