// SPDX-License-Identifier: LGPL-2.1-or-later
// The processes of this host; see pids.h.
#include "os/pids.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

int os_pids(pid_t **pids, size_t *n)
{
	DIR *proc = opendir("/proc");
	size_t cap = 0;
	int rc = 0;

	*pids = NULL;
	*n = 0;
	if (!proc)
		return -errno;
	for (struct dirent *d; (d = readdir(proc));) {
		if (!isdigit((unsigned char)d->d_name[0]))
			continue;
		if (*n == cap) {
			cap = cap ? cap * 2 : 256;
			pid_t *grown = reallocarray(*pids, cap, sizeof(**pids));
			if (!grown) {
				rc = -ENOMEM;
				break;
			}
			*pids = grown;
		}
		(*pids)[(*n)++] = (pid_t)strtol(d->d_name, NULL, 10);
	}
	closedir(proc);
	if (rc) {
		free(*pids);
		*pids = NULL;
		*n = 0;
	}
	return rc;
}
