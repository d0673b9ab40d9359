// SPDX-License-Identifier: LGPL-2.1-or-later
// Which boot of the machine this is.
#pragma once

enum { BOOT_ID_SIZE = 40 }; // a UUID and NUL

int os_boot_id(char ret[BOOT_ID_SIZE]); // 0 or -errno
