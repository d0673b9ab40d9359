// SPDX-License-Identifier: LGPL-2.1-or-later
// Sharing: dup'ed descriptors have one offset, those opened twice have two; numbers far apart; owner and signal.
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

#include "tests/victims/self.h"

enum { FAR = 700 };

static int first, dup1, dup_far, second, owned[2];

static void expect_at(int fd, off_t at, const char *what)
{
	off_t now = lseek(fd, 0, SEEK_CUR);

	expect(now == at, "%s: offset %ld, not %ld", what, (long)now, (long)at);
}

static void check(void)
{
	struct f_owner_ex owner;

	must(lseek(first, 5, SEEK_SET));
	expect_at(dup1, 5, "dup");
	expect_at(dup_far, 5, "dup, far away");
	expect_at(second, 2, "opened twice");
	must(lseek(dup_far, 1, SEEK_SET));
	expect_at(first, 1, "first");
	must(fcntl(dup1, F_SETFL, O_NONBLOCK));
	expect(fcntl(first, F_GETFL) & O_NONBLOCK, "flags are not shared");
	expect(!(fcntl(second, F_GETFL) & O_NONBLOCK), "flags are shared");
	must(fcntl(dup1, F_SETFL, 0));
	expect(fcntl(dup1, F_GETFD) == FD_CLOEXEC, "dup: not close-on-exec");
	expect(fcntl(dup_far, F_GETFD) == 0, "far: close-on-exec");
	expect(dup_far == FAR, "far: %d", dup_far);
	must(fcntl(owned[0], F_GETOWN_EX, &owner));
	expect(owner.type == F_OWNER_PID && owner.pid == getpid(), "owner %d %d", owner.type,
	       owner.pid);
	expect(fcntl(owned[0], F_GETSIG) == SIGRTMIN + 3, "signal %d",
	       fcntl(owned[0], F_GETSIG));
	expect(fcntl(owned[0], F_GETFL) & O_ASYNC, "O_ASYNC is gone");
	sigset_t set;
	siginfo_t si;
	struct timespec now = {2, 0};
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 3);
	must(write(owned[1], "x", 1));
	expect(sigtimedwait(&set, &si, &now) == SIGRTMIN + 3 && si.si_fd == owned[0],
	       "no signal from the pipe");
	char c;
	must(read(owned[0], &c, 1));
	int fd = dup(first);
	expect(fd == 9, "the lowest free number is %d", fd);
	close(fd);
}

int main(void)
{
	sigset_t set;

	self_block();
	for (int fd = 3; fd < 100; fd++)
		close(fd);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 3);
	sigprocmask(SIG_BLOCK, &set, NULL);
	first = must(open("file", O_CREAT | O_RDWR, 0600)); // 3
	must(write(first, "0123456789", 10));
	dup1 = must(fcntl(first, F_DUPFD_CLOEXEC, 0)); // 4
	second = must(open("file", O_RDWR));	       // 5
	must(lseek(second, 2, SEEK_SET));
	must(pipe(owned)); // 6, 7
	dup_far = must(dup2(first, FAR));
	must(fcntl(owned[0], F_SETOWN_EX, &((struct f_owner_ex){F_OWNER_PID, getpid()})));
	must(fcntl(owned[0], F_SETSIG, SIGRTMIN + 3));
	must(fcntl(owned[0], F_SETFL, O_ASYNC));
	must(dup2(second, 8));
	self_run(check);
}
