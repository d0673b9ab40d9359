// SPDX-License-Identifier: LGPL-2.1-or-later
// Shared by link_map.c and link_scope.c.
#pragma once

#include "process/link_map.h"

// Fills searchlist of all entries.
struct err *link_list_read_searchlists(struct link_list *l) must_check;
