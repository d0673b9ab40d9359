// SPDX-License-Identifier: LGPL-2.1-or-later
// Processes of a tree: each is made by its parent, in the session that this has by then.
#include <errno.h>
#include <signal.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "restore/rebuilt.h"

enum { FD_MAX = 1 << 20, ZOMBIES_MAX = 1 << 16 };

static struct err *highest_fd(const struct build *b, int *highest)
{
	const json_t *list;

	TRY(json_opt_array(b->state, "descriptors", FD_MAX, &list));
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *o;
		int fd;

		TRY(json_item_object(list, i, &o));
		TRY(json_at(json_get_i32(o, "fd", 0, FD_MAX, &fd), "descriptors", i));
		*highest = MAX(*highest, fd);
	}
	return NULL;
}

static struct err *make_channel(struct build *b, int number)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(errno, "cannot make a channel");
	b->remote.channel = ends[0];
	b->channel = ends[1];
	b->number = b->remote.remote_channel = number;
	return NULL;
}

static struct err *find_parent(struct rebuilt *r, size_t i)
{
	struct build *b = r->builds.v[i];
	pid_t ppid;

	TRY(json_get_pid(b->state, "ppid", &ppid));
	for (size_t k = 0; k < i; k++)
		if (r->builds.v[k]->saved == ppid)
			b->parent = r->builds.v[k];
	return b->parent ? NULL
			 : err_new(ERR_CORRUPT,
				   "process %d has its parent %d not before it in the "
				   "checkpoint",
				   b->saved, ppid);
}

struct err *tree_plan(struct rebuilt *r)
{
	int highest = STDERR_FILENO;

	for (size_t i = 1; i < r->builds.n; i++)
		TRY(find_parent(r, i));
	vec_for_each(p, &r->builds)
		TRY(highest_fd(*p, &highest));
	// Above all that any of them had.
	vec_for_each(p, &r->builds)
		TRY(make_channel(*p, ++highest));
	return NULL;
}

static struct err *make_root(struct rebuilt *r)
{
	struct build *root = r->builds.v[0];
	VEC(struct channel_place) channels = {};
	struct err *e = NULL;

	vec_for_each(p, &r->builds)
		if (!e)
			e = vec_push(&channels,
				     (struct channel_place){(*p)->channel, (*p)->number});
	if (!e)
		e = birth_root(root, r->opt.pid_any ? 0 : root->saved, channels.v,
			       channels.n);
	vec_free(&channels);
	return e ? e : space_clear(root);
}

// The parent is told of each as it ends; whether it was told before says its own saved state.
static struct err *forget_signal(struct build *b)
{
	struct remote *r = &b->remote;
	size_t mark = r->used;
	uint64_t *set = remote_take(r, sizeof(*set));
	uint64_t *no_time = remote_take(r, 2 * sizeof(*no_time));
	int64_t ret;

	if (!set || !no_time)
		return err_new(ERR_INTERNAL, "no room in the restore area");
	*set = 1ULL << (SIGCHLD - 1);
	TRY(remote_call(
		r, SYS_rt_sigtimedwait,
		(uint64_t[6]){remote_at(r, set), 0, remote_at(r, no_time), sizeof(*set)},
		&ret));
	remote_release(r, mark);
	return NULL;
}

static struct err *make_zombies(struct rebuilt *r, struct build *b)
{
	const json_t *list;

	TRY(json_opt_array(b->state, "zombies", ZOMBIES_MAX, &list));
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *o;
		pid_t pid;
		int status;

		TRY(json_item_object(list, i, &o));
		TRY(json_at(json_get_pid(o, "pid", &pid), "zombies", i));
		TRY(json_at(json_get_i32(o, "status", 0, UINT16_MAX, &status), "zombies",
			    i));
		TRY(birth_zombie(b, r->opt.pid_any ? 0 : pid, status));
		TRY(forget_signal(b));
	}
	return NULL;
}

struct err *tree_make(struct rebuilt *r)
{
	vec_for_each(p, &r->builds) {
		struct build *b = *p;

		if (b->parent)
			TRY(birth_child(b->parent, b, r->opt.pid_any ? 0 : b->saved));
		else
			TRY(make_root(r));
		TRY(restore_session(&b->restorer));
	}
	vec_for_each(p, &r->builds)
		TRY(make_zombies(r, *p));
	return NULL;
}
