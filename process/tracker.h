// SPDX-License-Identifier: LGPL-2.1-or-later
// Which pages a process has written since a moment: userfaultfd with asynchronous write protection, made in the target by
// the helper and held by the tool only, and PAGEMAP_SCAN (Linux 6.7). When the tool dies the kernel lifts the protection;
// no write ever waits for anybody. Mappings are registered here; os_pagemap_scan with UAPI_PM_SCAN_WP_MATCHING tells
// and arms their pages.
#pragma once

#include "process/helper.h"
#include "process/maps.h"

struct tracker;

// ERR_UNSUPPORTED or ERR_REFUSED where the kernel, a filter or a limit does not allow it.
struct err *tracker_create(struct process *p, struct helper *h, struct tracker **ret)
	must_check;
// Registers a private mapping, the process standing: a range that no longer is one mapping would cut another in two, which the
// program can see. False: it cannot be. Nothing is armed by that. A mapping that is moved or made
// anew is not registered any more (a scan with UAPI_PM_SCAN_CHECK_WPASYNC gives EPERM there).
bool tracker_register(struct tracker *t, const struct mapping *m);
// These pages need not be tracked any more; writing to them costs no fault.
void tracker_leave(struct tracker *t, taddr_t addr, uint64_t len);
void tracker_free(struct tracker *t); // lifts all
