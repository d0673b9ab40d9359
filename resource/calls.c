// SPDX-License-Identifier: LGPL-2.1-or-later
// Lists of system calls; see calls.h.
#include "resource/calls.h"

#include <string.h>

struct err *call_list_add(struct call_list *l, const char *what, long nr,
			  const uint64_t args[6])
{
	struct syscall_req req = {.nr = nr};

	memcpy(req.args, args, sizeof(req.args));
	TRY(vec_reserve(&l->what, 1));
	TRY(vec_push(&l->reqs, req));
	return vec_push(&l->what, what);
}

struct err *call_list_ask(struct call_list *l, struct remote *r, pid_t tid)
{
	size_t done = 0;

	if (!l->reqs.n)
		return NULL;
	TRY(r->calls(r, tid, l->reqs.v, l->reqs.n, true, &done));
	for (size_t i = 0; i < l->reqs.n; i++) {
		if (i >= done)
			return err_new(ERR_INTERNAL,
				       "thread %d made %zu of %zu system calls", tid,
				       done, l->reqs.n);
		if (l->reqs.v[i].ret < 0 && l->what.v[i])
			return err_sys((int)l->reqs.v[i].ret, "cannot %s of thread %d",
				       l->what.v[i], tid);
	}
	return NULL;
}

struct err *call_list_run(struct call_list *l, struct remote *r, pid_t tid)
{
	struct err *e = call_list_ask(l, r, tid);

	l->reqs.n = l->what.n = 0;
	return e;
}

void call_list_deinit(struct call_list *l)
{
	vec_free(&l->reqs);
	vec_free(&l->what);
}

struct err *remote_room(struct remote *r, size_t len, void **ret)
{
	*ret = remote_take(r, len);
	return *ret ? NULL
		    : err_new(ERR_INTERNAL, "no room for %zu bytes in the memory shared with process %d",
			      len, r->pid);
}

struct err *remote_put(struct remote *r, const void *data, size_t len, taddr_t *ret)
{
	void *place;

	TRY(remote_room(r, len, &place));
	memcpy(place, data, len);
	*ret = remote_at(r, place);
	return NULL;
}
