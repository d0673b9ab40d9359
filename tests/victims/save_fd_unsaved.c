// SPDX-License-Identifier: LGPL-2.1-or-later
// One descriptor of a kind that cannot be saved, and others that can. Left out (--skip), it is closed once the process was
// restored, and the others are what they were.
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/syscall.h>

#include "tests/victims/self.h"

static int odd, after, ep;
static unsigned long long started;

static unsigned long long start_time(void)
{
	char buf[1024] = {0};
	int fd = must(open("/proc/self/stat", O_RDONLY));
	unsigned long long t = 0;

	must(read(fd, buf, sizeof(buf) - 1));
	close(fd);
	sscanf(strrchr(buf, ')'),
	       ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
	       &t);
	return t;
}

static int make(const char *kind)
{
	struct io_uring_params params = {0};
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
				       .size = sizeof(attr),
				       .config = PERF_COUNT_SW_TASK_CLOCK};

	if (!strcmp(kind, "io_uring"))
		return (int)syscall(SYS_io_uring_setup, 1, &params);
	if (!strcmp(kind, "userfaultfd"))
		return (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (!strcmp(kind, "perf_event"))
		return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
	if (!strcmp(kind, "fanotify"))
		return fanotify_init(FAN_CLASS_NOTIF, O_RDONLY);
	if (!strcmp(kind, "device"))
		return open("/dev/kmsg", O_RDONLY);
	if (!strcmp(kind, "inotify")) { // of a file that is gone
		int fd = inotify_init1(0);

		int file = must(open("gone", O_CREAT | O_RDWR, 0600));
		must(inotify_add_watch(fd, "gone", IN_MODIFY));
		must(unlink("gone"));
		return file < 0 ? -1 : fd;
	}
	if (!strcmp(kind, "epoll")) { // of what only a child has, which is not saved
		int fd = epoll_create1(0), target = eventfd(0, 0);
		struct epoll_event e = {.events = EPOLLIN};

		must(epoll_ctl(fd, EPOLL_CTL_ADD, target, &e));
		if (!must(fork())) {
			close(fd);
			pause();
		}
		close(target);
		return fd;
	}
	errno = EINVAL;
	return -1;
}

static void check(void)
{
	struct epoll_event e;

	if (start_time() == started)
		expect(fcntl(odd, F_GETFD) >= 0, "it is closed: %m");
	else
		expect(fcntl(odd, F_GETFD) < 0 && errno == EBADF, "it is open");
	expect(write(after, &(uint64_t){1}, 8) == 8, "the eventfd: %m");
	expect(epoll_wait(ep, &e, 1, 0) == 1 && e.data.u64 == 3, "the epoll");
	expect(read(after, &(uint64_t){0}, 8) == 8, "the eventfd: %m");
}

int main(int argc, char **argv)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = 3};

	self_block();
	odd = make(argc > 1 ? argv[1] : "");
	if (odd < 0)
		skip("no %s here: %m", argc > 1 ? argv[1] : "");
	after = must(eventfd(0, 0));
	ep = must(epoll_create1(0));
	must(epoll_ctl(ep, EPOLL_CTL_ADD, after, &e));
	started = start_time();
	self_run(check);
}
