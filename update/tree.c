// SPDX-License-Identifier: LGPL-2.1-or-later
// Finding the processes of a family; see tree.h.
#include "update/tree.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/pids.h"
#include "os/proc.h"
#include "process/process.h"
#include "update/record.h"
#include "util/cleanup.h"

enum { MAX_PROCESSES = 1 << 14, VFORK_WAIT_MS = 1000 };

void tree_deinit(struct tree *t)
{
	vec_free(&t->members);
	vec_free(&t->others);
}

static bool exe_stat(pid_t pid, struct stat *ret)
{
	char path[32];

	*ret = (struct stat){0};
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	return !stat(path, ret);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool share_image(const struct record *a, const struct record *b)
{
	vec_for_each(x, &a->images)
		vec_for_each(y, &b->images)
			if (x->base == y->base && !strcmp(x->build_id, y->build_id))
				return true;
	return false;
}

static bool related_by_record(pid_t a, pid_t b)
{
	struct maps maps[2] = {0};
	struct record_list lists[2] = {0};
	const pid_t pids[2] = {a, b};
	bool ret = false;
	struct err *e = NULL;

	for (int i = 0; i < 2 && !e; i++) {
		e = maps_read(pids[i], &maps[i]);
		if (!e)
			e = record_list_read(pids[i], &maps[i], &lists[i]);
	}
	err_free(e);
	const struct found_record *x = record_of_exe(&lists[0]);
	const struct found_record *y = record_of_exe(&lists[1]);
	if (!e && x && y)
		ret = share_image(&x->record, &y->record);
	for (int i = 0; i < 2; i++) {
		record_list_deinit(&lists[i]);
		maps_deinit(&maps[i]);
	}
	return ret;
}

// An update changes what /proc/PID/exe names, in one process and perhaps not in another: then what the records
// say counts.
bool tree_same_program(pid_t root, pid_t pid)
{
	struct stat a, b;

	if (!exe_stat(root, &a) || !exe_stat(pid, &b))
		return false;
	return same_file(&a, &b) || related_by_record(root, pid);
}

bool tree_alive(pid_t pid)
{
	struct os_status s;

	return os_proc_status(pid, 0, &s) >= 0 && s.state != 'Z' && s.state != 'X';
}

static struct err *children_of(pid_t pid, pid_t **ret, size_t *n)
{
	int rc = os_children(pid, ret, n);

	if (rc == -ENOENT || rc == -ESRCH) { // it has ended
		*ret = NULL;
		*n = 0;
		return NULL;
	}
	return rc < 0 ? err_sys(rc, "cannot list the children of process %d", pid) : NULL;
}

// Calls f(arg, parent, child) for every descendant, parents first.
static struct err *descend(pid_t root,
			   struct err *(*f)(void *arg, pid_t parent, pid_t child),
			   void *arg)
{
	VEC(pid_t) queue = {0};
	struct err *e = vec_push(&queue, root);

	for (size_t i = 0; i < queue.n && !e; i++) {
		_cleanup_free_ pid_t *kids = NULL;
		pid_t parent = queue.v[i];
		size_t n = 0;

		e = children_of(parent, &kids, &n);
		for (size_t k = 0; k < n && !e; k++) {
			e = f(arg, parent, kids[k]);
			if (!e && queue.n < MAX_PROCESSES)
				e = vec_push(&queue, kids[k]);
		}
	}
	vec_free(&queue);
	return e;
}

struct reader {
	pid_t root;
	struct tree *tree;
	pid_t borrower; // of its parent's memory; 0: none
};

static bool shares_memory(pid_t a, pid_t b)
{
	return syscall(SYS_kcmp, a, b, KCMP_VM, 0, 0) == 0;
}

static struct err *take(void *arg, pid_t parent, pid_t child)
{
	struct reader *r = arg;

	if (!tree_alive(child))
		return NULL;
	if (shares_memory(parent, child))
		r->borrower = child;
	// Seen before it is judged: what it becomes meanwhile is another file then.
	struct outsider o = {.pid = child};
	exe_stat(child, &o.exe);
	return tree_same_program(r->root, child) ? vec_push(&r->tree->members, child)
						 : vec_push(&r->tree->others, o);
}

struct err *tree_read(pid_t root, struct tree *ret)
{
	const struct timespec nap = {.tv_nsec = 1000000};

	for (int i = 0;; i++) {
		struct reader r = {.root = root, .tree = ret};

		ret->members.n = ret->others.n = 0;
		TRY(vec_push(&ret->members, root));
		TRY(descend(root, take, &r));
		if (!r.borrower)
			return NULL;
		if (i == VFORK_WAIT_MS)
			return err_refuse("shared-memory", NULL,
					  "process %d has the memory of its parent",
					  r.borrower);
		nanosleep(&nap, NULL);
	}
}

struct search {
	const struct tree *was;
	const pid_t *known;
	size_t n;
	bool found;
};

static bool is_outside_still(const struct tree *was, pid_t pid)
{
	struct stat now;

	vec_for_each(o, &was->others)
		if (o->pid == pid)
			return exe_stat(pid, &now) && same_file(&now, &o->exe);
	return false;
}

static struct err *look_for_new(void *arg, pid_t parent, pid_t child)
{
	struct search *s = arg;

	(void)parent;
	for (size_t i = 0; i < s->n; i++)
		if (s->known[i] == child)
			return NULL;
	if (!s->found && !is_outside_still(s->was, child) && tree_alive(child))
		s->found = tree_same_program(s->was->members.v[0], child);
	return NULL;
}

struct err *tree_grew(const struct tree *was, const pid_t *known, size_t n, bool *ret)
{
	struct search s = {.was = was, .known = known, .n = n};

	TRY(descend(was->members.v[0], look_for_new, &s));
	*ret = s.found;
	return NULL;
}

struct counter {
	pid_t root;
	size_t n;
};

static struct err *count_relative(void *arg, pid_t parent, pid_t child)
{
	struct counter *c = arg;

	(void)parent;
	c->n += tree_alive(child) && tree_same_program(c->root, child);
	return NULL;
}

size_t tree_relatives(pid_t root)
{
	struct counter c = {.root = root};

	err_free(descend(root, count_relative, &c));
	return c.n;
}
