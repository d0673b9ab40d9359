// SPDX-License-Identifier: LGPL-2.1-or-later
// See family.h.
#include "checkpoint/family.h"

#include <linux/kcmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "image/json.h"
#include "os/pids.h"
#include "os/proc.h"
#include "util/cleanup.h"

enum { MAX_PROCESSES = 1 << 14, VFORK_WAIT_MS = 1000 };

void pids_deinit(struct pids *p)
{
	vec_free(&p->v);
}

static struct err *children_of(pid_t pid, pid_t **ret, size_t *n)
{
	int r = os_children(pid, ret, n);

	if (os_proc_is_gone(r)) {
		*ret = NULL;
		*n = 0;
		return NULL;
	}
	return r < 0 ? err_sys(r, "cannot list the children of process %d", pid) : NULL;
}

static bool lives(pid_t pid, bool *zombie)
{
	struct os_status s;

	if (os_proc_status(pid, 0, &s) < 0 || s.state == 'X')
		return *zombie = false;
	*zombie = s.state == 'Z' && s.threads <= 1;
	return !*zombie;
}

bool family_lives(pid_t pid)
{
	return lives(pid, &(bool){false});
}

static struct err *read_once(pid_t root, struct pids *ret, pid_t *borrower)
{
	*borrower = 0;
	ret->v.n = 0;
	TRY(vec_push(&ret->v, root));
	for (size_t i = 0; i < ret->v.n; i++) {
		_cleanup_free_ pid_t *kids = NULL;
		pid_t parent = ret->v.v[i];
		size_t n = 0;

		TRY(children_of(parent, &kids, &n));
		for (size_t k = 0; k < n; k++) {
			if (!family_lives(kids[k]))
				continue;
			if (ret->v.n == MAX_PROCESSES)
				return err_new(ERR_BUSY,
					       "process %d has more than %d descendants",
					       root, MAX_PROCESSES);
			if (!syscall(SYS_kcmp, parent, kids[k], KCMP_VM, 0, 0))
				*borrower = kids[k];
			TRY(vec_push(&ret->v, kids[k]));
		}
	}
	return NULL;
}

struct err *family_read(pid_t root, struct pids *ret)
{
	const struct timespec nap = {.tv_nsec = 1000000};
	pid_t borrower;

	for (int i = 0; i < VFORK_WAIT_MS; i++) {
		TRY(read_once(root, ret, &borrower));
		if (!borrower)
			return NULL;
		nanosleep(&nap, NULL);
	}
	return err_refuse("shared-memory", NULL,
			  "process %d has the memory of its parent", borrower);
}

size_t family_children(pid_t pid)
{
	_cleanup_free_ pid_t *kids = NULL;
	size_t n = 0, living = 0;

	err_free(children_of(pid, &kids, &n));
	for (size_t i = 0; i < n; i++)
		living += family_lives(kids[i]);
	return living;
}

// The status that wait would give: the last field of /proc/PID/stat.
static int64_t exit_status(pid_t pid)
{
	_cleanup_free_ char *text = NULL;
	size_t len;

	if (os_proc_read(pid, 0, "stat", &text, &len) < 0 || !len)
		return 0;
	const char *last = strrchr(text, ' ');
	return last ? strtoll(last, NULL, 10) : 0;
}

struct err *family_put_zombies(pid_t pid, json_t *state)
{
	_cleanup_free_ pid_t *kids = NULL;
	json_t *list = NULL, *o;
	size_t n = 0;
	bool zombie;

	TRY(children_of(pid, &kids, &n));
	for (size_t i = 0; i < n; i++) {
		if (lives(kids[i], &zombie) || !zombie)
			continue;
		if (!list)
			TRY(json_put_array(state, "zombies", &list));
		TRY(json_add_object(list, &o));
		TRY(json_put_int(o, "pid", kids[i]));
		TRY(json_put_int(o, "status", exit_status(kids[i])));
	}
	return NULL;
}
