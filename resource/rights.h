// SPDX-License-Identifier: LGPL-2.1-or-later
// What molt's caller may do: a restored process gets no more.
#pragma once

#include <linux/capability.h>

#include "resource/status.h"

enum { CAPS_KNOWN = 64 };

// Whether the caller has the capability in force; false, too, when that cannot be found out.
bool rights_has_cap(int cap);

// "CAP_NET_ADMIN", or "capability 63".
const char *cap_name(int cap, char buf[static 32]);
