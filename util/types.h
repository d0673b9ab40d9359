// SPDX-License-Identifier: LGPL-2.1-or-later
// Words used by every layer.
#pragma once

#include <stdint.h>

typedef uint64_t taddr_t; // a run-time address in the target; never a pointer of ours
typedef uint64_t vaddr_t; // an address as an ELF file has it (st_value, p_vaddr)
