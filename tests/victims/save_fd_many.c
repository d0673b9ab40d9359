// SPDX-License-Identifier: LGPL-2.1-or-later
// Many descriptors of all common kinds: each must be what it was.
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/victims/self.h"

enum { KINDS = 5, MAX = 50000 };

static int n, fds[MAX], ep;
static ino_t inodes[MAX];

static void check(void)
{
	struct stat st;
	uint64_t v;

	for (int i = 0; i < n; i++) {
		switch (i % KINDS) {
		case 0:
			expect(lseek(fds[i], 0, SEEK_CUR) == i, "file %d", fds[i]);
			break;
		case 1:
			v = 0;
			expect(read(fds[i], &v, 8) == 8 && v == (uint64_t)i + 1,
			       "eventfd %d: %ld", fds[i], (long)v);
			write(fds[i], &v, 8);
			break;
		case 2: // a pipe, its writing end is next
			expect(write(fds[i + 1], &i, sizeof(i)) == sizeof(i), "pipe %d", i);
			expect(read(fds[i], &v, sizeof(i)) == sizeof(i) && (int)v == i,
			       "pipe %d", i);
			break;
		case 4: // dup of the file
			expect(lseek(fds[i], 0, SEEK_CUR) == i - 4, "dup %d", fds[i]);
			expect(!fstat(fds[i], &st) && st.st_ino == inodes[i], "dup %d",
			       fds[i]);
			break;
		default:
			break;
		}
	}
	struct epoll_event e;
	expect(epoll_wait(ep, &e, 1, 0) == 1, "epoll is quiet");
}

int main(int argc, char **argv)
{
	struct rlimit l;
	struct epoll_event e = {.events = EPOLLIN};
	struct stat st;

	self_block();
	n = argc > 1 ? atoi(argv[1]) / KINDS * KINDS : 1000;
	must(getrlimit(RLIMIT_NOFILE, &l));
	l.rlim_cur = l.rlim_max;
	must(setrlimit(RLIMIT_NOFILE, &l));
	if (n > MAX || (rlim_t)n + 16 > l.rlim_max)
		skip("cannot open %d files", n);
	ep = must(epoll_create1(0));
	for (int i = 0; i < n; i += KINDS) {
		int p[2];

		fds[i] = must(open("file", O_CREAT | O_RDWR, 0600));
		must(lseek(fds[i], i, SEEK_SET));
		fds[i + 1] = must(eventfd(0, EFD_NONBLOCK));
		must(write(fds[i + 1], &(uint64_t){(uint64_t)i + 2}, 8));
		must(pipe(p));
		fds[i + 2] = p[0];
		fds[i + 3] = p[1];
		fds[i + 4] = must(dup(fds[i]));
		must(fstat(fds[i], &st));
		inodes[i + 4] = st.st_ino;
		e.data.u64 = (uint64_t)i;
		must(epoll_ctl(ep, EPOLL_CTL_ADD, fds[i + 1], &e));
		must(epoll_ctl(ep, EPOLL_CTL_ADD, fds[i + 2], &e));
	}
	self_run(check);
}
