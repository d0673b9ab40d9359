// SPDX-License-Identifier: LGPL-2.1-or-later
// The caller's capabilities, and their names; see rights.h.
#include "resource/rights.h"

#include <stdio.h>
#include <unistd.h>

#include "util/cleanup.h"

static const char *const names[] = {"chown",
				    "dac_override",
				    "dac_read_search",
				    "fowner",
				    "fsetid",
				    "kill",
				    "setgid",
				    "setuid",
				    "setpcap",
				    "linux_immutable",
				    "net_bind_service",
				    "net_broadcast",
				    "net_admin",
				    "net_raw",
				    "ipc_lock",
				    "ipc_owner",
				    "sys_module",
				    "sys_rawio",
				    "sys_chroot",
				    "sys_ptrace",
				    "sys_pacct",
				    "sys_admin",
				    "sys_boot",
				    "sys_nice",
				    "sys_resource",
				    "sys_time",
				    "sys_tty_config",
				    "mknod",
				    "lease",
				    "audit_write",
				    "audit_control",
				    "setfcap",
				    "mac_override",
				    "mac_admin",
				    "syslog",
				    "wake_alarm",
				    "block_suspend",
				    "audit_read",
				    "perfmon",
				    "bpf",
				    "checkpoint_restore"};

bool rights_has_cap(int cap)
{
	_cleanup_(thread_status_deinit) struct thread_status s = {0};
	struct err *e = thread_status_read(getpid(), 0, &s);

	err_free(e);
	return !e && s.caps[CAPS_EFFECTIVE] >> cap & 1;
}

const char *cap_name(int cap, char buf[static 32])
{
	if (cap < 0 || (size_t)cap >= ARRAY_SIZE(names)) {
		snprintf(buf, 32, "capability %d", cap);
		return buf;
	}
	size_t n = (size_t)snprintf(buf, 32, "CAP_%s", names[cap]);
	for (size_t i = 4; i < n; i++)
		if (buf[i] >= 'a' && buf[i] <= 'z')
			buf[i] = (char)(buf[i] - 'a' + 'A');
	return buf;
}
