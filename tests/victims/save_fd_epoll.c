// SPDX-License-Identifier: LGPL-2.1-or-later
// epoll with all kinds of registration, and what is mostly watched: eventfd, timerfd, signalfd, inotify, pidfd; memfd.
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>

#include "tests/victims/self.h"

static int ep, ep_timer, nested, counter, semaphore, ticking, distant, ticked, signals, watch, self,
	old_data[2], edge[2], memory, sealed, aside, reused,
	far_away, twice[2];
static int wd_file, wd_dir;

// Whether exactly one registration with this data is ready in `epoll`, and with these events.
static void expect_event(int epoll, uint64_t data, uint32_t events, const char *what)
{
	struct epoll_event e[32];
	int n = epoll_wait(epoll, e, 32, 1000);
	bool found = false;

	for (int i = 0; i < n; i++)
		if (e[i].data.u64 == data) {
			found = true;
			expect(e[i].events == events, "%s: events %#x", what,
			       e[i].events);
		}
	expect(found, "%s: no event (%d others)", what, n);
}

static void expect_quiet(int epoll, const char *what)
{
	struct epoll_event e[4];
	int n = epoll_wait(epoll, e, 4, 0);

	expect(n == 0, "%s: %d events, one of 0x%lx", what, n,
	       n > 0 ? (long)e[0].data.u64 : 0L);
}

static void check_counters(void)
{
	uint64_t v = 0;

	expect(read(counter, &v, 8) == 8 && v == 0xfffffffffff, "counter: %lx", (long)v);
	expect_quiet(ep, "counter read");
	v = 0xfffffffffff;
	must(write(counter, &v, 8));
	expect_event(ep, 0x1111222233334444, EPOLLIN, "counter");
	must(read(counter, &v, 8));
	must(read(semaphore, &v, 8));
	expect(v == 1, "semaphore: %lx", (long)v);
	v = 1;
	must(write(semaphore, &v, 8));
	expect(read(semaphore, &v, 8) == 8 && read(semaphore, &v, 8) == 8 &&
		       read(semaphore, &v, 8) == 8,
	       "semaphore: not 3");
	expect(read(semaphore, &v, 8) < 0 && errno == EAGAIN, "semaphore: more than 3");
	v = 3;
	must(write(semaphore, &v, 8));
}

static void check_timers(void)
{
	struct itimerspec t;
	uint64_t n = 0;

	must(timerfd_gettime(distant, &t));
	expect(t.it_value.tv_sec > 3000 && t.it_value.tv_sec <= 3600, "distant: %ld s left",
	       (long)t.it_value.tv_sec);
	expect(t.it_interval.tv_sec == 17 && t.it_interval.tv_nsec == 5, "distant: interval");
	expect(read(ticking, &n, 8) == 8 && n > 0 && n < 20000, "ticking: %lu", (long)n);
	expect_event(ep_timer, 5, EPOLLIN, "ticking");
	expect(read(ticked, &n, 8) == 8 && n == 1, "ticked: %lu", (long)n);
	expect(read(ticked, &n, 8) < 0 && errno == EAGAIN, "ticked: twice");
	t = (struct itimerspec){.it_value = {0, 1}};
	must(timerfd_settime(ticked, 0, &t, NULL));
	nanosleep(&(struct timespec){0, 2000000}, NULL);
}

static void check_signals(void)
{
	struct signalfd_siginfo si;

	must(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 42}));
	expect_event(ep, 6, EPOLLIN, "signals");
	expect(read(signals, &si, sizeof(si)) == sizeof(si) && si.ssi_int == 42, "signalfd");
}

static void check_watch(void)
{
	_Alignas(struct inotify_event) char buf[4096];
	const struct inotify_event *e = (const void *)buf;

	close(must(open("watched", O_WRONLY)));
	expect_event(ep, 7, EPOLLIN, "watch");
	ssize_t n = read(watch, buf, sizeof(buf));
	expect(n > 0 && e->wd == wd_file && e->mask == IN_CLOSE_WRITE, "watch of a file: %zd, wd %d, mask %#x",
	       n, e->wd, e->mask);
	close(must(open("dir/new", O_CREAT | O_WRONLY, 0600)));
	must(unlink("dir/new"));
	n = read(watch, buf, sizeof(buf));
	expect(n > 0 && e->wd == wd_dir && e->mask == IN_CREATE && !strcmp(e->name, "new"),
	       "watch of a folder: %zd, wd %d, mask %#x", n, e->wd, e->mask);
	while (read(watch, buf, sizeof(buf)) > 0)
		continue;
}

static void check_registrations(void)
{
	uint64_t one = 1;
	struct epoll_event e = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = 9};

	// The number of this one leads elsewhere now.
	must(write(aside, &one, 8));
	expect_event(ep, 8, EPOLLIN, "closed number");
	must(read(aside, &one, 8));
	expect_quiet(ep, "closed number");
	expect(fcntl(reused, F_GETFL) == (O_RDONLY | 0100000), "reused: flags %#o",
	       fcntl(reused, F_GETFL));
	// Far above all that is open, and two registrations of one number.
	must(write(far_away, &(uint64_t){1}, 8));
	expect_event(ep, 12, EPOLLIN, "far number");
	must(read(far_away, &one, 8));
	must(write(twice[0], &(uint64_t){1}, 8));
	expect_event(ep, 13, EPOLLIN, "the first of one number");
	must(read(twice[0], &one, 8));
	must(write(twice[1], &(uint64_t){1}, 8));
	expect_event(ep, 14, EPOLLIN, "the second of one number");
	must(read(twice[1], &one, 8));
	expect_quiet(ep, "numbers");
	// One shot: armed, then not.
	must(epoll_ctl(ep, EPOLL_CTL_MOD, old_data[0], &e));
	must(write(old_data[1], "x", 1));
	expect_event(ep, 9, EPOLLIN, "one shot");
	expect_quiet(ep, "one shot a second time");
	char c;
	must(read(old_data[0], &c, 1));
	// Edge: each write once.
	must(write(edge[1], "x", 1));
	expect_event(ep, 10, EPOLLIN, "edge");
	expect_quiet(ep, "edge a second time");
	must(read(edge[0], &c, 1));
	// Through the nested one.
	must(write(counter, &(uint64_t){1}, 8));
	expect_event(nested, 11, EPOLLIN, "nested");
	must(read(counter, &one, 8));
	expect(epoll_ctl(ep, EPOLL_CTL_ADD, counter, &e) < 0 && errno == EEXIST,
	       "counter is not registered");
	one = 0xfffffffffff;
	must(write(counter, &one, 8));
}

static void check_memory(void)
{
	char buf[16] = {0};
	struct stat st;

	expect(pread(memory, buf, 6, 1 << 20) == 6 && !strcmp(buf, "memory"), "memfd: '%s'",
	       buf);
	must(fstat(memory, &st));
	expect(st.st_size == 4 << 20, "memfd: size %ld", (long)st.st_size);
	expect(lseek(memory, 0, SEEK_CUR) == 77, "memfd: offset");
	expect(fcntl(sealed, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_WRITE | F_SEAL_GROW),
	       "seals: %#x", fcntl(sealed, F_GET_SEALS));
	expect(pread(sealed, buf, 6, 0) == 6 && !memcmp(buf, "sealed", 6), "sealed");
	expect(syscall(SYS_pidfd_send_signal, self, 0, NULL, 0) == 0, "pidfd: %m");
}

static void check(void)
{
	check_timers();
	check_counters();
	check_signals();
	check_watch();
	check_registrations();
	check_memory();
}

static void add(int epoll, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event e = {.events = events, .data.u64 = data};

	must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e));
}

int main(void)
{
	sigset_t set;

	self_block();
	ep = must(epoll_create1(EPOLL_CLOEXEC));
	nested = must(epoll_create1(0));
	ep_timer = must(epoll_create1(0));
	counter = must(eventfd(0, EFD_NONBLOCK));
	must(write(counter, &(uint64_t){0xfffffffffff}, 8));
	semaphore = must(eventfd(3, EFD_NONBLOCK | EFD_SEMAPHORE));
	ticking = must(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	must(timerfd_settime(ticking, 0,
			     &(struct itimerspec){{0, 3000000}, {0, 3000000}}, NULL));
	distant = must(timerfd_create(CLOCK_BOOTTIME, 0));
	must(timerfd_settime(distant, 0, &(struct itimerspec){{17, 5}, {3600, 0}}, NULL));
	ticked = must(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK));
	must(timerfd_settime(ticked, 0, &(struct itimerspec){{0, 0}, {0, 1}}, NULL));
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = must(signalfd(-1, &set, SFD_NONBLOCK));
	must(mkdir("dir", 0700));
	close(must(open("watched", O_CREAT | O_WRONLY, 0600)));
	watch = must(inotify_init1(IN_NONBLOCK));
	int passing = must(inotify_add_watch(watch, ".", IN_CREATE)); // takes number 1
	must(inotify_rm_watch(watch, passing));
	wd_dir = must(inotify_add_watch(watch, "dir", IN_CREATE));
	wd_file = must(inotify_add_watch(watch, "watched", IN_CLOSE_WRITE));
	char buf[4096];
	while (read(watch, buf, sizeof(buf)) > 0)
		continue;
	must(pipe(old_data));
	must(pipe(edge));
	add(ep, counter, EPOLLIN, 0x1111222233334444);
	add(ep_timer, ticking, EPOLLIN | EPOLLET, 5);
	add(ep, signals, EPOLLIN, 6);
	add(ep, watch, EPOLLIN, 7);
	// Registered, closed, the description lives at another number and the number leads elsewhere.
	int number = must(eventfd(0, EFD_NONBLOCK));
	add(ep, number, EPOLLIN, 8);
	aside = must(dup(number));
	close(number);
	reused = must(open("/dev/null", O_RDONLY));
	if (reused != number)
		must(-1);
	far_away = must(eventfd(0, 0));
	must(dup2(far_away, 300));
	add(ep, 300, EPOLLIN, 12);
	close(300);
	number = must(eventfd(0, 0));
	add(ep, number, EPOLLIN, 13);
	twice[0] = must(dup(number));
	close(number);
	twice[1] = must(eventfd(0, 0));
	must(twice[1] == number ? 0 : -1);
	add(ep, twice[1], EPOLLIN, 14);
	add(ep, old_data[0], EPOLLIN, 9);
	add(ep, edge[0], EPOLLIN | EPOLLET, 10);
	add(nested, ep, EPOLLIN, 11);
	memory = must(memfd_create("some memory", 0));
	must(ftruncate(memory, 4 << 20));
	must(pwrite(memory, "memory", 6, 1 << 20));
	must(lseek(memory, 77, SEEK_SET));
	sealed = must(memfd_create("sealed", MFD_ALLOW_SEALING));
	must(write(sealed, "sealed", 6));
	must(fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_WRITE | F_SEAL_GROW));
	self = (int)must(syscall(SYS_pidfd_open, getpid(), 0));
	nanosleep(&(struct timespec){0, 5000000}, NULL);
	self_run(check);
}
