// SPDX-License-Identifier: LGPL-2.1-or-later
// The standby of the filler: it holds what the filler holds, and ends the rebuilt processes when the filler is gone before
// its work is done. Without it the kernel would give them zeros then.
#include <errno.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "os/pids.h"
#include "os/uapi.h"
#include "process/wait.h"
#include "restore/filler_impl.h"
#include "util/cleanup.h"

enum { ALL_DONE = 'd', HOLD = 'h', DEPTH = 64, PAGE = 4096 };

// Children made meanwhile have the same holes.
static void end_children(pid_t pid, int depth)
{
	_cleanup_free_ pid_t *pids = NULL;
	size_t n = 0;

	if (depth == DEPTH || os_children(pid, &pids, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		end_children(pids[i], depth + 1);
		kill(pids[i], SIGKILL);
	}
}

void standby_end_all(const struct filler *f)
{
	bool children = false;

	vec_for_each(s, &f->spaces->v)
		children |= s->pidfd < 0;
	vec_for_each(s, &f->spaces->v) {
		if (s->pidfd < 0)
			continue;
		if (children)
			end_children(s->pid, 0);
		syscall(SYS_pidfd_send_signal, s->pidfd, SIGKILL, NULL, 0);
	}
}

// One message; *fd gets a descriptor that came with it.
static ssize_t receive(int from, char *what, int *fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = what, .iov_len = 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control.room,
			   .msg_controllen = sizeof(control.room)};
	ssize_t n;

	do
		n = recvmsg(from, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	const struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	*fd = -1;
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	return n;
}

// Whether the memory is still somebody's. Nothing is ever mapped at this address.
static bool lives(int uffd)
{
	struct uffdio_zeropage z = {.range = {PAGE, PAGE}};

	return !ioctl(uffd, UFFDIO_ZEROPAGE, &z) || errno != ESRCH;
}

// Whoever touches the page gets SIGBUS; where the kernel cannot do that he waits.
static void poison(int uffd, taddr_t addr)
{
	struct uapi_uffdio_poison p = {.range = {addr - addr % PAGE, PAGE}};

	ioctl(uffd, UAPI_UFFDIO_POISON, &p);
}

static void meet(struct filler *f, size_t index)
{
	struct filler_space child = {.pidfd = -1};
	struct uffd_msg m;

	while (read(f->spaces->v.v[index].uffd, &m, sizeof(m)) == sizeof(m)) {
		if (m.event == UFFD_EVENT_PAGEFAULT)
			poison(f->spaces->v.v[index].uffd, m.arg.pagefault.address);
		if (m.event != UFFD_EVENT_FORK)
			continue;
		child.uffd = (int)m.arg.fork.ufd;
		err_free(vec_push(&f->spaces->v, child));
	}
}

// Children whose parents ended before are found by nothing but their page faults: nobody takes what never came for zeros.
static void guard(struct filler *f)
{
	const struct timespec nap = {0, 20000000};

	for (bool any = true; any; nanosleep(&nap, NULL)) {
		any = false;
		for (size_t i = 0; i < f->spaces->v.n; i++) {
			struct filler_space *s = &f->spaces->v.v[i];

			if (s->uffd >= 0 && !lives(s->uffd)) {
				close(s->uffd);
				s->uffd = -1;
			}
			if (s->uffd < 0)
				continue;
			any = true;
			meet(f, i);
		}
	}
}

static void stand_by(struct filler *f, int from)
{
	struct filler_space child = {.pidfd = -1};
	char what;

	if (f->begun >= 0)
		close(take_fd(&f->begun));
	prctl(PR_SET_NAME, "molt-standby");
	setsid();
	for (;;) {
		ssize_t n = receive(from, &what, &child.uffd);

		if (n > 0 && what == ALL_DONE)
			break;
		if (n > 0) {
			err_free(vec_push(&f->spaces->v, child));
			continue;
		}
		standby_end_all(f);
		openlog("molt", LOG_PID, LOG_DAEMON);
		syslog(LOG_ERR,
		       "restore: process %d was ended: the process that brings its "
		       "memory is gone",
		       f->spaces->v.v[0].pid);
		dprintf(f->report, "failed the process that brings it was ended\n");
		guard(f);
		break;
	}
	for (;;)
		syscall(SYS_exit_group, 0);
}

struct err *standby_start(struct filler *f)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(errno, "cannot make the filler's standby");
	pid_t pid = fork();
	if (!pid) {
		close(ends[0]);
		stand_by(f, ends[1]);
	}
	int errnum = errno;
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return err_sys(errnum, "cannot make the filler's standby");
	}
	f->standby = ends[0];
	f->standby_pid = pid;
	return NULL;
}

static bool tell(const struct filler *f, char what, int fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = &what, .iov_len = 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0) {
		m.msg_control = control.room;
		m.msg_controllen = sizeof(control.room);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	}
	return sendmsg(f->standby, &m, MSG_NOSIGNAL) == 1;
}

static struct err *start_again(struct filler *f)
{
	close(f->standby);
	wait_end(f->standby_pid);
	return standby_start(f);
}

struct err *standby_add(struct filler *f, int uffd)
{
	// A new one has it from the start.
	return tell(f, HOLD, uffd) ? NULL : start_again(f);
}

struct err *standby_look(struct filler *f)
{
	char byte;

	// It never says anything.
	return recv(f->standby, &byte, 1, MSG_DONTWAIT) == 0 ? start_again(f) : NULL;
}

void standby_let_go(struct filler *f)
{
	tell(f, ALL_DONE, -1);
}
