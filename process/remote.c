// SPDX-License-Identifier: LGPL-2.1-or-later
// See remote.h: what both kinds of remote have in common.
#include "process/remote.h"

#include <errno.h>
#include <string.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { FDS_MAX = 253 }; // SCM_MAX_FD of the kernel

struct err *remote_call_in(struct remote *r, pid_t tid, long nr, const uint64_t args[6],
			   int64_t *ret)
{
	struct syscall_req req = {.nr = nr};
	size_t done;

	memcpy(req.args, args, sizeof(req.args));
	TRY(r->calls(r, tid, &req, 1, true, &done));
	*ret = req.ret;
	return NULL;
}

struct err *remote_call(struct remote *r, long nr, const uint64_t args[6], int64_t *ret)
{
	return remote_call_in(r, r->tid, nr, args, ret);
}

struct err *remote_must(struct remote *r, struct syscall_req *reqs, size_t n,
			const char *what)
{
	size_t done;

	TRY(r->calls(r, r->tid, reqs, n, false, &done));
	if (done == n && (n == 0 || reqs[n - 1].ret >= 0))
		return NULL;
	size_t failed = done ? done - 1 : 0;
	return err_sys((int)reqs[failed].ret, "%s in process %d", what, r->pid);
}

void *remote_take(struct remote *r, size_t len)
{
	const size_t align = 16;
	size_t at = roundup(r->used, align);

	if (at > r->size || len > r->size - at)
		return NULL;
	r->used = at + len;
	memset(r->map + at, 0, len);
	return r->map + at;
}

taddr_t remote_at(const struct remote *r, const void *place)
{
	return r->addr + (taddr_t)((const uint8_t *)place - r->map);
}

static struct err *send_portion(const struct remote *r, const int *fds, size_t n)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control = {0};
	char byte = 0;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control.room,
			   .msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	if (sendmsg(r->channel, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return err_sys(errno, "cannot pass descriptors to process %d", r->pid);
	return NULL;
}

// The message's parts in the shared memory, as the target sees them.
struct incoming {
	struct msghdr m;
	struct iovec iov;
	char byte;
	_Alignas(16) char control[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

static struct err *receive_portion(struct remote *r, size_t n, int *there)
{
	struct incoming *in = remote_take(r, sizeof(*in));
	int64_t ret;

	if (!in)
		return err_new(ERR_INTERNAL,
			       "no room for descriptors in the shared memory");
	in->iov.iov_base = (void *)(uintptr_t)remote_at(r, &in->byte);
	in->iov.iov_len = 1;
	in->m.msg_iov = (void *)(uintptr_t)remote_at(r, &in->iov);
	in->m.msg_iovlen = 1;
	in->m.msg_control = (void *)(uintptr_t)remote_at(r, in->control);
	in->m.msg_controllen = CMSG_SPACE(n * sizeof(int));
	memset(in->control, 0xff, sizeof(in->control));
	if (r->announce)
		TRY(r->announce(r, remote_at(r, in->control + CMSG_LEN(0)), n));
	TRY(remote_call(r, SYS_recvmsg,
			(uint64_t[6]){(uint64_t)r->remote_channel, remote_at(r, &in->m),
				      MSG_DONTWAIT},
			&ret));
	if (ret < 0)
		return err_sys((int)ret, "process %d cannot take descriptors", r->pid);
	struct cmsghdr head;
	memcpy(&head, in->control, sizeof(head));
	// Fewer arrive when the target's table is full (RLIMIT_NOFILE).
	if (in->m.msg_flags & MSG_CTRUNC || head.cmsg_type != SCM_RIGHTS ||
	    head.cmsg_len != CMSG_LEN(n * sizeof(int)))
		return err_sys(EMFILE, "process %d cannot take %zu descriptors", r->pid,
			       n);
	memcpy(there, in->control + CMSG_LEN(0), n * sizeof(int));
	return NULL;
}

struct err *remote_give(struct remote *r, const int *fds, size_t n, int *there)
{
	size_t mark = r->used;

	for (size_t i = 0; i < n;) {
		size_t portion = MIN(n - i, FDS_MAX);

		TRY(send_portion(r, fds + i, portion));
		struct err *e = receive_portion(r, portion, there + i);
		if (!r->announce)
			remote_release(r, mark);
		TRY(e);
		i += portion;
	}
	return NULL;
}
