// SPDX-License-Identifier: LGPL-2.1-or-later
// The processes of this host.
#pragma once

#include <stddef.h>
#include <sys/types.h>

// Ids of all processes that /proc shows, as it lists them; *pids is the caller's to free. 0 or -errno.
int os_pids(pid_t **pids, size_t *n);
// Children of a process, made by any of its threads; *pids is the caller's to free. 0 or -errno.
int os_children(pid_t pid, pid_t **pids, size_t *n);
