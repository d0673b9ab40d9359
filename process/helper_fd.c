// SPDX-License-Identifier: LGPL-2.1-or-later
// A descriptor of the tool for the helper thread: over a pair of sockets in the helper's private table, one
// of which the tool takes, so that neither names nor namespaces nor rights of the target matter.
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/uapi.h"
#include "process/helper_impl.h"
#include "process/memory.h"
#include "process/seccomp.h"
#include "util/cleanup.h"

// As it lies in the target, at the bottom of the helper's stack.
struct exchange {
	int32_t pair[2];
	struct msghdr msg;
	struct iovec iov;
	uint64_t byte;
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))];
};

static taddr_t exchange_at(const struct helper *h)
{
	return h->area + HELPER_SCRATCH;
}

struct err *helper_take_fd(const struct helper *h, int rfd, int *ret)
{
	_cleanup_close_ int pidfd =
		(int)syscall(SYS_pidfd_open, h->tid, UAPI_PIDFD_THREAD);

	if (pidfd < 0 && errno == EINVAL)
		return err_with(err_new(ERR_UNSUPPORTED,
					"Linux 6.9 is needed to pass descriptors to a "
					"process"),
				"family-kernel", NULL);
	if (pidfd < 0)
		return err_sys(errno, "cannot open thread %d", h->tid);
	*ret = (int)syscall(SYS_pidfd_getfd, pidfd, rfd, 0);
	return *ret < 0 ? err_sys(errno, "cannot take a descriptor from process %d",
				  h->process->pid)
			: NULL;
}

static struct err *send_fd(int to, int fd)
{
	uint8_t byte = 0;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))] = {0};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(to, &msg, MSG_NOSIGNAL) < 0
		       ? err_sys(errno, "cannot send a descriptor")
		       : NULL;
}

static struct err *receive_fd(struct helper *h, int at, int *rfd)
{
	taddr_t base = exchange_at(h);
	struct exchange x = {0};
	int64_t r;

	x.iov = (struct iovec){(void *)(base + offsetof(struct exchange, byte)), 1};
	x.msg = (struct msghdr){
		.msg_iov = (void *)(base + offsetof(struct exchange, iov)),
		.msg_iovlen = 1,
		.msg_control = (void *)(base + offsetof(struct exchange, control)),
		.msg_controllen = sizeof(x.control)};
	TRY(mem_write(h->process->pid, base, &x, sizeof(x)));
	TRY(helper_syscall(h, SYS_recvmsg,
			   (uint64_t[6]){(uint64_t)at,
					 base + offsetof(struct exchange, msg),
					 MSG_DONTWAIT | MSG_CMSG_CLOEXEC},
			   &r));
	if (r < 0)
		return err_sys((int)r, "cannot receive a descriptor in process %d",
			       h->process->pid);
	TRY(mem_read(h->process->pid, base, &x, sizeof(x)));
	const struct cmsghdr *c = (const struct cmsghdr *)x.control;
	if (c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(int)))
		return err_new(ERR_INTERNAL, "no descriptor arrived in process %d",
			       h->process->pid);
	memcpy(rfd, CMSG_DATA(c), sizeof(*rfd));
	return NULL;
}

static struct err *pass(struct helper *h, const int32_t pair[2], int fd, int *rfd)
{
	_cleanup_close_ int here = -1;

	TRY(helper_take_fd(h, pair[0], &here));
	TRY(send_fd(here, fd));
	return receive_fd(h, pair[1], rfd);
}

// These calls are not among those that every update makes.
static struct err *check_seccomp(const struct helper *h)
{
	static const struct {
		long nr;
		const char *name;
	} calls[] = {{SYS_socketpair, "socketpair"}, {SYS_recvmsg, "recvmsg"}};
	static const uint64_t any[6] = {0};

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (seccomp_ask(&h->filters, calls[i].nr, any, 0) != SECCOMP_ALLOWS)
			return err_refuse("seccomp", calls[i].name,
					  "the seccomp filter of process %d does not "
					  "allow %s, which "
					  "molt needs to pass descriptors to it",
					  h->process->pid, calls[i].name);
	return NULL;
}

struct err *helper_give_fd(struct helper *h, int fd, int *rfd)
{
	int32_t pair[2];
	int64_t r;

	TRY(check_seccomp(h));
	TRY(helper_syscall(
		h, SYS_socketpair,
		(uint64_t[6]){AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, exchange_at(h)}, &r));
	if (r < 0)
		return err_sys((int)r, "cannot make a pair of sockets in process %d",
			       h->process->pid);
	TRY(mem_read(h->process->pid, exchange_at(h), pair, sizeof(pair)));
	struct err *e = pass(h, pair, fd, rfd);
	for (int i = 0; i < 2; i++)
		e = err_first(e, helper_close(h, pair[i]));
	return e;
}
