// SPDX-License-Identifier: LGPL-2.1-or-later
// timerfd: clock, time left, interval and the expirations not read yet. It is armed when the processes go on.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "os/kernel.h"
#include "os/proc.h"
#include "resource/kinds.h"
#include "util/cleanup.h"

static const int64_t second = 1000000000;
enum { CLOCKS = CLOCK_TAI, SETTIME = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET };

static bool recognises(const struct open_file *f)
{
	return !strcmp(f->path, "anon_inode:[timerfd]");
}

static bool pair(const char *info, const char *key, int64_t *ret)
{
	const char *at = strstr(info, key);
	int64_t s, ns;

	if (!at || sscanf(at + strlen(key), ": (%" SCNd64 ", %" SCNd64 ")", &s, &ns) != 2)
		return false;
	return !__builtin_mul_overflow(s, second, ret) &&
	       !__builtin_add_overflow(*ret, ns, ret);
}

static bool is_wall_clock(int clock)
{
	return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_ALARM;
}

struct timer {
	uint64_t clock, ticks, settime;
	int64_t left, interval;
};

static bool parse(const char *info, struct timer *t)
{
	return fdinfo_u64(info, "clockid", 10, &t->clock) &&
	       fdinfo_u64(info, "ticks", 10, &t->ticks) &&
	       fdinfo_u64(info, "settime flags", 8, &t->settime) &&
	       pair(info, "it_value", &t->left) &&
	       pair(info, "it_interval", &t->interval) && t->clock <= CLOCKS;
}

// A periodic timer that has expired stands still until somebody asks: then the kernel counts what it missed.
static struct err *wake(const struct open_file *f, struct timer *t)
{
	_cleanup_close_ int here = -1;
	_cleanup_free_ char *info = NULL;
	struct itimerspec now;
	char name[32];
	size_t len;

	TRY(open_file_here(f, &here));
	snprintf(name, sizeof(name), "fdinfo/%d", here);
	for (int tries = 0; tries < 8 && !t->left; tries++) {
		if (timerfd_gettime(here, &now))
			return err_sys(errno, "cannot read a timerfd");
		int r = os_proc_read(getpid(), 0, name, &info, &len);
		if (r < 0 || !parse(info, t))
			return err_sys(r < 0 ? r : -EINVAL, "cannot look at a timerfd");
		free(take_ptr(info));
	}
	if (!t->left) // shorter than the way from one call to the next
		t->left = 1;
	return NULL;
}

static struct err *save(const struct open_file *f, json_t *object)
{
	struct timespec now;
	struct timer t;

	if (!parse(f->info, &t))
		return open_file_refuse(f, "unsaved-descriptor",
					"the kernel does not tell its state");
	if (!t.left && t.interval)
		TRY(wake(f, &t));
	TRY(json_put_int(object, "clock", (json_int_t)t.clock));
	TRY(json_put_mask(object, "ticks", t.ticks));
	TRY(json_put_int(object, "settime", (json_int_t)t.settime));
	TRY(json_put_int(object, "left", t.left));
	TRY(json_put_int(object, "interval", t.interval));
	// A moment by the wall clock stays that moment however long the process is away.
	if (!t.left || !(t.settime & TFD_TIMER_ABSTIME) || !is_wall_clock((int)t.clock) ||
	    clock_gettime(CLOCK_REALTIME, &now))
		return NULL;
	return json_put_int(object, "at", now.tv_sec * second + now.tv_nsec + t.left);
}

static struct err *make(struct restoring *all, size_t index, const json_t *object)
{
	int clock;

	TRY(json_get_i32(object, "clock", 0, CLOCKS, &clock));
	all->files[index] = timerfd_create(clock, TFD_CLOEXEC | TFD_NONBLOCK);
	return all->files[index] < 0
		       ? err_sys(errno, "cannot make a timerfd of clock %d", clock)
		       : NULL;
}

static struct timespec from_ns(int64_t ns)
{
	return (struct timespec){ns / second, ns % second};
}

static struct err *start(struct restoring *all, size_t index, const json_t *object)
{
	int64_t left, interval, at;
	uint64_t ticks;
	int settime, fd = all->files[index];

	TRY(json_get_int(object, "left", 0, INT64_MAX, &left));
	TRY(json_get_int(object, "interval", 0, INT64_MAX, &interval));
	TRY(json_get_i32(object, "settime", 0, SETTIME, &settime));
	TRY(json_get_mask(object, "ticks", &ticks));
	TRY(json_opt_int(object, "at", 1, INT64_MAX, 0, &at));
	struct itimerspec spec = {.it_interval = from_ns(interval),
				  .it_value = from_ns(at ? at : left)};
	if (timerfd_settime(fd, at ? settime & SETTIME : 0, &spec, NULL))
		return err_sys(errno, "cannot arm a timerfd");
	if (ticks && ioctl(fd, UAPI_TFD_IOC_SET_TICKS, &ticks))
		return err_sys(errno, "cannot give a timerfd its expirations");
	return NULL;
}

const struct file_kind kind_timerfd = {.name = "timerfd",
				       .recognises = recognises,
				       .save = save,
				       .make = make,
				       .start = start};
