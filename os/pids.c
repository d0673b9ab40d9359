// SPDX-License-Identifier: LGPL-2.1-or-later
// The processes of this host; see pids.h.
#include "os/pids.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "os/proc.h"
#include "util/cleanup.h"
#include "util/vec.h"

typedef VEC(pid_t) pid_list;

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

static int add_children(pid_t pid, pid_t tid, pid_list *list)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int rc = os_proc_read(pid, tid, "children", &text, &len);

	if (rc < 0)
		return rc;
	for (char *at = text, *end;; at = end) {
		long child = strtol(at, &end, 10);

		if (end == at)
			return 0;
		struct err *e = vec_push(list, (pid_t)child);
		if (e) {
			err_free(e);
			return -ENOMEM;
		}
	}
}

// Where the kernel does not list children: every process is asked for its parent.
static int scan_children(pid_t pid, pid_list *list)
{
	_cleanup_free_ pid_t *all = NULL;
	size_t n = 0;
	int rc = os_pids(&all, &n);

	for (size_t i = 0; i < n && rc >= 0; i++) {
		struct os_status s;

		if (os_proc_status(all[i], 0, &s) < 0 || s.ppid != pid)
			continue;
		struct err *e = vec_push(list, all[i]);
		if (e) {
			err_free(e);
			rc = -ENOMEM;
		}
	}
	return rc;
}

int os_children(pid_t pid, pid_t **pids, size_t *n)
{
	_cleanup_free_ pid_t *tids = NULL;
	pid_list list = {0};
	size_t n_tids = 0;
	int rc = os_proc_tasks(pid, &tids, &n_tids);

	for (size_t i = 0; i < n_tids && rc >= 0; i++) {
		rc = add_children(pid, tids[i], &list);
		if (rc == -ENOENT && tids[i] == pid && kill(pid, 0) == 0) {
			rc = scan_children(pid, &list);
			break;
		}
		if (rc == -ENOENT || rc == -ESRCH)
			rc = 0; // the thread has ended
	}
	if (rc < 0) {
		vec_free(&list);
		return rc;
	}
	*pids = list.v;
	*n = list.n;
	return 0;
}
