// SPDX-License-Identifier: LGPL-2.1-or-later
// What an epoll watches: registrations that are new go, those that are gone or were changed are made again.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "os/proc.h"
#include "rollback/impl.h"

enum { REGISTRATIONS_MAX = 1 << 20, FD_MAX = 1 << 20 };

struct registration {
	int fd;
	uint32_t events;
	uint64_t data;
};

struct registrations {
	VEC(struct registration) v; // ascending
};

static int by_number(const void *a, const void *b)
{
	const struct registration *x = a, *y = b;

	return (x->fd > y->fd) - (x->fd < y->fd);
}

static struct err *read_present(const struct rollback *rb, int fd,
				struct registrations *ret)
{
	_cleanup_free_ char *info = NULL;
	struct registration r;
	char name[32];
	size_t len;

	snprintf(name, sizeof(name), "fdinfo/%d", fd);
	int failed = os_proc_read(rb->p->pid, 0, name, &info, &len);
	if (failed < 0)
		return err_sys(failed, "cannot look at descriptor %d", fd);
	for (const char *line = strstr(info, "tfd:"); line;
	     line = strstr(line + 1, "tfd:"))
		if (sscanf(line, "tfd: %d events: %" SCNx32 " data: %" SCNx64, &r.fd,
			   &r.events, &r.data) == 3)
			TRY(vec_push(&ret->v, r));
	if (ret->v.n)
		qsort(ret->v.v, ret->v.n, sizeof(*ret->v.v), by_number);
	return NULL;
}

static struct err *read_saved(const json_t *object, struct registrations *ret)
{
	const json_t *list, *o;

	TRY(json_get_array(object, "registrations", REGISTRATIONS_MAX, &list));
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct registration r;
		uint64_t events;

		TRY(json_at(json_item_object(list, i, &o), "registrations", i));
		TRY(json_get_i32(o, "fd", 0, FD_MAX - 1, &r.fd));
		TRY(json_get_u64(o, "events", UINT32_MAX, &events));
		TRY(json_get_mask(o, "data", &r.data));
		r.events = (uint32_t)events;
		TRY(vec_push(&ret->v, r));
	}
	if (ret->v.n)
		qsort(ret->v.v, ret->v.n, sizeof(*ret->v.v), by_number);
	return NULL;
}

static struct err *add_ctl(struct rollback *rb, int epoll, int op,
			   const struct registration *r, const char *what)
{
	struct epoll_event event = {.events = r->events, .data.u64 = r->data};
	taddr_t at;

	TRY(stage_put(rb, &event, sizeof(event), &at));
	return ADD(&rb->calls, what, SYS_epoll_ctl, (uint64_t)epoll, (uint64_t)op,
		   (uint64_t)r->fd, at);
}

static bool same(const struct registration *a, const struct registration *b)
{
	return a->events == b->events && a->data == b->data;
}

static struct err *plan(struct rollback *rb, int epoll, const struct registrations *now,
			const struct registrations *saved)
{
	size_t i = 0, k = 0;

	while (i < now->v.n || k < saved->v.n) {
		const struct registration *a = i < now->v.n ? &now->v.v[i] : NULL;
		const struct registration *b = k < saved->v.n ? &saved->v.v[k] : NULL;

		if (!b || (a && a->fd < b->fd)) {
			// One of a descriptor that is closed goes with it.
			TRY(add_ctl(rb, epoll, EPOLL_CTL_DEL, a, NULL));
			i++;
			continue;
		}
		bool both = a && a->fd == b->fd;
		// What stands at the number now may have been made again: then there is none to be changed.
		if (!both || !same(a, b))
			TRY(add_ctl(rb, epoll, EPOLL_CTL_MOD, b, NULL));
		TRY(both && same(a, b) ? NULL
				       : add_ctl(rb, epoll, EPOLL_CTL_ADD, b, NULL));
		i += both;
		k++;
	}
	return NULL;
}

struct err *epoll_plan(struct rollback *rb, int fd, const json_t *object, bool empty)
{
	struct registrations now = {0}, saved = {0};
	struct err *e = empty ? NULL : read_present(rb, fd, &now);

	if (!e)
		e = read_saved(object, &saved);
	if (!e)
		e = plan(rb, fd, &now, &saved);
	vec_free(&now.v);
	vec_free(&saved.v);
	return e;
}
