// SPDX-License-Identifier: LGPL-2.1-or-later
// A parent and a child: descriptors that both have from the fork (one offset, one set of flags, one eventfd, one epoll), pipes between
// them, a terminal with both ends, a pidfd, a file of /proc about the child, locks of each.
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>

#include "tests/victims/self.h"

static int file, apart, ep, counter, master, slave, child_fd, status_fd, locked;
static int to[2], from[2];
static pid_t child;

// What the child is asked, and its answer.
struct order {
	int what;
	long value;
};
enum { OFFSET, SEEK, FLAGS, COUNT, LOCK, SAY };

static long obey(struct order o)
{
	struct flock l = {.l_type = F_RDLCK, .l_len = 1};
	uint64_t v = 0;

	switch (o.what) {
	case OFFSET:
		return lseek(file, 0, SEEK_CUR);
	case SEEK:
		return lseek(file, o.value, SEEK_SET);
	case FLAGS:
		return fcntl(file, F_SETFL, o.value);
	case COUNT:
		return read(counter, &v, 8) == 8 ? (long)v : -1;
	case LOCK: // who holds the parent's
		return fcntl(locked, F_GETLK, &l) ? -1 : l.l_type == F_WRLCK ? l.l_pid : 0;
	case SAY:
		return write(slave, "say\n", 4);
	default:
		return -1;
	}
}

static void __attribute__((noreturn)) serve(void)
{
	struct order o;

	close(to[1]);
	close(from[0]);
	lseek(apart, 9, SEEK_SET);
	while (read(to[0], &o, sizeof(o)) == sizeof(o)) {
		o.value = obey(o);
		if (write(from[1], &o, sizeof(o)) != sizeof(o))
			break;
	}
	_exit(0);
}

static long ask(int what, long value)
{
	struct order o = {what, value};

	must(write(to[1], &o, sizeof(o)));
	expect(read(from[0], &o, sizeof(o)) == sizeof(o), "the child does not answer");
	return o.value;
}

static void check_terminal(void)
{
	struct winsize w = {0};
	struct termios t = {0};
	struct stat st, st2;
	char buf[64] = {0};

	must(tcgetattr(slave, &t));
	expect(!(t.c_lflag & (ECHO | ICANON)) && t.c_cc[VMIN] == 3, "termios");
	must(ioctl(master, TIOCGWINSZ, &w));
	expect(w.ws_row == 31 && w.ws_col == 77, "window of %d, %d", w.ws_row, w.ws_col);
	expect(ask(SAY, 0) == 4, "the child cannot write to the terminal");
	expect(read(master, buf, sizeof(buf)) == 5 && !strcmp(buf, "say\r\n"), "terminal: '%s'",
	       buf);
	must(write(master, "abc", 3));
	expect(read(slave, buf, sizeof(buf)) == 3, "terminal: the slave reads something else");
	const char *name = ptsname(master);
	expect(name && !stat(name, &st) && !fstat(slave, &st2) && st.st_rdev == st2.st_rdev,
	       "the slave is another terminal's");
}

static void check(void)
{
	struct epoll_event e;
	char buf[4096] = {0}, name[32];
	uint64_t v = 5;

	must(lseek(file, 3, SEEK_SET));
	expect(ask(OFFSET, 0) == 3, "the offset is not shared");
	ask(SEEK, 6);
	expect(lseek(file, 0, SEEK_CUR) == 6, "the offset is not shared, the other way");
	ask(FLAGS, O_APPEND);
	expect(fcntl(file, F_GETFL) & O_APPEND, "flags are not shared");
	ask(FLAGS, 0);
	expect(lseek(apart, 0, SEEK_CUR) == 9, "apart: offset");
	must(write(counter, &v, 8));
	expect(epoll_wait(ep, &e, 1, 1000) == 1 && e.data.u64 == 77, "epoll");
	expect(ask(COUNT, 0) == 5, "the eventfd is not shared");
	expect(epoll_wait(ep, &e, 1, 0) == 0, "epoll: the eventfd is another");
	expect(ask(LOCK, 0) == getpid(), "the parent's lock is gone");
	expect(syscall(SYS_pidfd_send_signal, child_fd, 0, NULL, 0) == 0, "pidfd: %m");
	must(pread(status_fd, buf, sizeof(buf) - 1, 0));
	snprintf(name, sizeof(name), "\nPid:\t%d\n", child);
	expect(strstr(buf, name), "status is another process's");
	check_terminal();
}

int main(void)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = 77};
	struct winsize w = {.ws_row = 31, .ws_col = 77};
	struct flock l = {.l_type = F_WRLCK, .l_len = 1};
	struct termios t;
	char name[64];

	self_block();
	file = must(open("file", O_CREAT | O_RDWR, 0600));
	must(write(file, "0123456789", 10));
	apart = must(open("file", O_RDWR));
	locked = must(open("locked", O_CREAT | O_RDWR, 0600));
	must(fcntl(locked, F_SETLK, &l));
	counter = must(eventfd(0, 0));
	ep = must(epoll_create1(0));
	must(epoll_ctl(ep, EPOLL_CTL_ADD, counter, &e));
	must(pipe(to));
	must(pipe(from));
	must(openpty(&master, &slave, NULL, NULL, &w));
	must(tcgetattr(slave, &t));
	t.c_lflag &= ~(tcflag_t)(ECHO | ICANON);
	t.c_cc[VMIN] = 3;
	must(tcsetattr(slave, TCSANOW, &t));
	child = must(fork());
	if (!child)
		serve();
	close(to[0]);
	close(from[1]);
	child_fd = (int)must(syscall(SYS_pidfd_open, child, 0));
	snprintf(name, sizeof(name), "/proc/%d/status", child);
	status_fd = must(open(name, O_RDONLY));
	ask(OFFSET, 0);
	self_run(check);
}
