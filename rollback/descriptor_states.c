// SPDX-License-Identifier: LGPL-2.1-or-later
// What open file descriptions have, put back: offsets, flags, counts, timers.
#include <fcntl.h>
#include <string.h>
#include <sys/param.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "resource/kinds.h"
#include "rollback/descriptors.h"

enum {
	SETTABLE = O_APPEND | O_NONBLOCK | O_NOATIME | O_DIRECT,
	READS_MAX = 1 << 10,
};
static const int64_t SECOND = 1000000000;

static struct timespec from_ns(int64_t ns)
{
	return (struct timespec){ns / SECOND, ns % SECOND};
}

static struct err *put_timerfd_back(struct rollback *rb, const struct saved_fd *s)
{
	int64_t left, interval, at;
	uint64_t ticks;
	taddr_t spec_at;
	int settime;

	TRY(json_get_int(s->object, "left", 0, INT64_MAX, &left));
	TRY(json_get_int(s->object, "interval", 0, INT64_MAX, &interval));
	TRY(json_opt_int(s->object, "at", 1, INT64_MAX, 0, &at));
	TRY(json_get_i32(s->object, "settime", 0, 3, &settime));
	TRY(json_get_mask(s->object, "ticks", &ticks));
	struct itimerspec spec = {.it_interval = from_ns(interval),
				  .it_value = from_ns(at ? at : left)};
	// Expirations that were not read yet: it expires at once.
	if (ticks && !left && !at)
		spec.it_value.tv_nsec = 1;
	TRY(stage_put(rb, &spec, sizeof(spec), &spec_at));
	return ADD(&rb->calls, "arm a timerfd", SYS_timerfd_settime, (uint64_t)s->fd,
		   at ? (uint64_t)settime : 0, spec_at, 0);
}

static struct err *put_eventfd_back(struct rollback *rb, const struct saved_fd *s)
{
	uint64_t now = 0, semaphore = 0, count;
	taddr_t at, scratch;

	TRY(json_get_mask(s->object, "count", &count));
	fdinfo_u64(s->now->info, "eventfd-count", 16, &now);
	fdinfo_u64(s->now->info, "eventfd-semaphore", 10, &semaphore);
	if (now == count)
		return NULL;
	TRY(stage_put(rb, &count, sizeof(count), &at));
	TRY(stage_put(rb, &count, sizeof(count), &scratch));
	for (uint64_t i = 0; i < (semaphore ? MIN(now, (uint64_t)READS_MAX) : now != 0);
	     i++)
		TRY(ADD(&rb->calls, NULL, SYS_read, (uint64_t)s->fd, scratch,
			sizeof(count)));
	return count ? ADD(&rb->calls, "set the count of an eventfd", SYS_write,
			   (uint64_t)s->fd, at, sizeof(count))
		     : NULL;
}

static struct err *put_signalfd_back(struct rollback *rb, const struct saved_fd *s)
{
	uint64_t mask;
	taddr_t at;

	TRY(json_get_mask(s->object, "mask", &mask));
	TRY(stage_put(rb, &mask, sizeof(mask), &at));
	return ADD(&rb->calls, "set the mask of a signalfd", SYS_signalfd4,
		   (uint64_t)s->fd, at, sizeof(mask), 0);
}

static bool has_offset(const struct saved_fd *s)
{
	return !strcmp(s->kind, "regular") || !strcmp(s->kind, "directory") ||
	       !strcmp(s->kind, "memfd") || !strcmp(s->kind, "proc");
}

// What the same open file description had.
static struct err *put_state_back(struct rollback *rb, const struct saved_fd *s)
{
	uint64_t offset;
	int flags;

	TRY(json_get_i32(s->object, "flags", 0, INT32_MAX, &flags));
	TRY(json_get_u64(s->object, "offset", INT64_MAX, &offset));
	if ((flags ^ s->now->flags) & SETTABLE && !(flags & O_PATH))
		TRY(ADD(&rb->calls, "set file status flags", SYS_fcntl, (uint64_t)s->fd,
			F_SETFL, (uint64_t)(flags & SETTABLE)));
	if (s->cloexec != s->now->cloexec)
		TRY(ADD(&rb->calls, "set close-on-exec", SYS_fcntl, (uint64_t)s->fd,
			F_SETFD, s->cloexec ? FD_CLOEXEC : 0));
	if (has_offset(s) && offset != s->now->pos)
		TRY(ADD(&rb->calls, "set a file offset", SYS_lseek, (uint64_t)s->fd,
			offset, SEEK_SET));
	if (!strcmp(s->kind, "timerfd"))
		return put_timerfd_back(rb, s);
	if (!strcmp(s->kind, "eventfd"))
		return put_eventfd_back(rb, s);
	if (!strcmp(s->kind, "signalfd"))
		return put_signalfd_back(rb, s);
	return NULL;
}

struct err *states_plan(struct rollback *rb, struct table *t)
{
	vec_for_each(s, &t->saved)
		if (s->now && !table_skipped(s))
			TRY(err_wrap(put_state_back(rb, s), "descriptor %d", s->fd));
	vec_for_each(s, &t->saved)
		if (!strcmp(s->kind, "epoll") && !table_skipped(s) && !table_leader(t, s))
			TRY(epoll_plan(rb, s->fd, s->object, !s->now));
	return NULL;
}
