// SPDX-License-Identifier: LGPL-2.1-or-later
// Thin wrappers of sched_getattr and sched_setattr; 0 or -errno. tid 0 is the calling
// thread.
#pragma once

#include <sys/types.h>

#include "os/kernel.h"

int os_sched_get(pid_t tid, struct uapi_sched_attr *ret);
int os_sched_set(pid_t tid, const struct uapi_sched_attr *attr);
