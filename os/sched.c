// SPDX-License-Identifier: LGPL-2.1-or-later
// Thin wrappers of sched_getattr and sched_setattr; see sched.h.
#include "os/sched.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int os_sched_get(pid_t tid, struct uapi_sched_attr *ret)
{
	memset(ret, 0, sizeof(*ret));
	return syscall(SYS_sched_getattr, tid, ret, sizeof(*ret), 0) < 0 ? -errno : 0;
}

int os_sched_set(pid_t tid, const struct uapi_sched_attr *attr)
{
	return syscall(SYS_sched_setattr, tid, attr, 0) < 0 ? -errno : 0;
}
