// SPDX-License-Identifier: LGPL-2.1-or-later
// Locks: flock, POSIX record locks (several ranges), OFD locks, a lease. A child that asks for them says whether they hold.
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "tests/victims/self.h"

static int flocked, shared, recorded, recorded2, ofd, leased;

// What the child found; 0: all holds.
static int look(void)
{
	int fd = open("flocked", O_RDWR);
	struct flock l;

	if (flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return 1;
	fd = open("shared", O_RDWR);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 || flock(fd, LOCK_SH | LOCK_NB))
		return 2;
	fd = open("recorded", O_RDWR);
	l = (struct flock){.l_type = F_RDLCK, .l_start = 12, .l_len = 1};
	if (fcntl(fd, F_GETLK, &l) || l.l_type != F_WRLCK || l.l_start != 10 ||
	    l.l_len != 5 || l.l_pid != getppid())
		return 3;
	l = (struct flock){.l_type = F_WRLCK, .l_start = 0, .l_len = 5};
	if (fcntl(fd, F_GETLK, &l) || l.l_type != F_UNLCK)
		return 4;
	l = (struct flock){.l_type = F_WRLCK, .l_start = 200, .l_len = 5};
	if (fcntl(fd, F_GETLK, &l) || l.l_type != F_RDLCK || l.l_start != 100 || l.l_len)
		return 5;
	fd = open("ofd", O_RDWR);
	l = (struct flock){.l_type = F_RDLCK, .l_start = 3, .l_len = 1};
	if (fcntl(fd, F_OFD_GETLK, &l) || l.l_type != F_WRLCK || l.l_pid != -1)
		return 6;
	return 0;
}

static void check(void)
{
	int status;
	pid_t child = must(fork());

	if (!child)
		_exit(look());
	must(waitpid(child, &status, 0));
	expect(status == 0, "what the child found: %d", WEXITSTATUS(status));
	expect(fcntl(leased, F_GETLEASE) == F_RDLCK, "lease: %d", fcntl(leased, F_GETLEASE));
}

int main(void)
{
	struct flock l = {.l_type = F_WRLCK, .l_start = 10, .l_len = 5};

	self_block();
	flocked = must(open("flocked", O_CREAT | O_RDWR, 0600));
	must(flock(flocked, LOCK_EX));
	shared = must(open("shared", O_CREAT | O_RDWR, 0600));
	must(flock(shared, LOCK_SH));
	recorded = must(open("recorded", O_CREAT | O_RDWR, 0600));
	recorded2 = must(dup(recorded));
	must(fcntl(recorded, F_SETLK, &l));
	l = (struct flock){.l_type = F_RDLCK, .l_start = 100};
	must(fcntl(recorded2, F_SETLK, &l));
	ofd = must(open("ofd", O_CREAT | O_RDWR, 0600));
	l = (struct flock){.l_type = F_WRLCK, .l_start = 0, .l_len = 10};
	must(fcntl(ofd, F_OFD_SETLK, &l));
	close(must(open("leased", O_CREAT | O_RDWR, 0600)));
	leased = must(open("leased", O_RDONLY));
	must(fcntl(leased, F_SETLEASE, F_RDLCK));
	self_run(check);
}
