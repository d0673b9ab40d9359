// SPDX-License-Identifier: LGPL-2.1-or-later
// sock_diag(7) for UNIX sockets; see sock_diag.h.
#include "os/sock_diag.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/proc.h"

enum { BUF = 64 << 10 };

int os_same_network(pid_t a, pid_t b)
{
	char path[2][48];
	struct stat st[2];

	snprintf(path[0], sizeof(path[0]), "/proc/%d/ns/net", a);
	snprintf(path[1], sizeof(path[1]), "/proc/%d/ns/net", b);
	for (int i = 0; i < 2; i++)
		if (stat(path[i], &st[i]) < 0)
			return -errno;
	return st[0].st_dev == st[1].st_dev && st[0].st_ino == st[1].st_ino;
}

// A socket belongs to the namespace in which it was made, whoever uses it.
static int diag_socket(pid_t pid)
{
	int r = os_same_network(getpid(), pid), own = -1, ns = -1, fd = -1;

	if (r) // the same, or not to be told: the kernel's answer is checked by the caller
		return (fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC,
				    NETLINK_SOCK_DIAG)) < 0
			       ? -errno
			       : fd;
	own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	ns = own < 0 ? -1 : os_proc_open(pid, 0, "ns/net", O_RDONLY);
	if (own < 0 || ns < 0) {
		r = own < 0 ? -errno : ns;
	} else if (setns(ns, CLONE_NEWNET) < 0) {
		r = -errno;
	} else {
		fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
		r = fd < 0 ? -errno : fd;
		if (setns(own, CLONE_NEWNET) < 0) {
			r = -errno;
			if (fd >= 0)
				close(fd);
		}
	}
	if (own >= 0)
		close(own);
	if (ns >= 0)
		close(ns);
	return r;
}

static void read_attributes(const struct rtattr *a, int len, struct os_unix_socket *s)
{
	for (; RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		const void *data = RTA_DATA(a);
		size_t size = RTA_PAYLOAD(a);

		switch (a->rta_type) {
		case UNIX_DIAG_PEER:
			if (size >= sizeof(uint32_t))
				memcpy(&s->peer, data, sizeof(uint32_t));
			s->has_peer = 1;
			break;
		case UNIX_DIAG_SHUTDOWN:
			if (size >= 1)
				s->shutdown = *(const uint8_t *)data;
			break;
		case UNIX_DIAG_RQLEN: {
			struct unix_diag_rqlen q;

			if (size < sizeof(q))
				break;
			memcpy(&q, data, sizeof(q));
			s->queued = q.udiag_rqueue;
			s->backlog = q.udiag_wqueue;
			break;
		}
		case UNIX_DIAG_VFS: {
			struct unix_diag_vfs v;

			if (size < sizeof(v))
				break;
			memcpy(&v, data, sizeof(v));
			s->vfs_dev = v.udiag_vfs_dev;
			s->vfs_ino = v.udiag_vfs_ino;
			break;
		}
		default:
			break;
		}
	}
}

static int ask_all(int fd)
{
	struct {
		struct nlmsghdr h;
		struct unix_diag_req r;
	} req = {
		.h = {sizeof(req), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 1, 0},
		.r = {.sdiag_family = AF_UNIX,
		      .udiag_states = ~0u,
		      .udiag_show = UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN | UDIAG_SHOW_VFS},
	};

	return send(fd, &req, sizeof(req), 0) < 0 ? -errno : 0;
}

struct list {
	struct os_unix_socket *v;
	size_t n, cap;
};

static int add(struct list *l, const struct nlmsghdr *h)
{
	const struct unix_diag_msg *m = NLMSG_DATA(h);

	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)))
		return -EPROTO;
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		void *v = reallocarray(l->v, cap, sizeof(*l->v));

		if (!v)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	struct os_unix_socket *s = &l->v[l->n++];
	*s = (struct os_unix_socket){
		.inode = m->udiag_ino,
		.cookie = (uint64_t)m->udiag_cookie[1] << 32 | m->udiag_cookie[0],
		.type = m->udiag_type,
		.state = m->udiag_state,
	};
	read_attributes((const struct rtattr *)(m + 1),
			(int)(h->nlmsg_len - NLMSG_LENGTH(sizeof(*m))), s);
	return 0;
}

// One answer of the kernel; 1: there is more to come.
static int take(struct list *l, const uint8_t *buf, size_t len)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)buf;
	int left = (int)len;

	for (; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
		int r;

		if (h->nlmsg_type == NLMSG_DONE)
			return 0;
		if (h->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = NLMSG_DATA(h);

			return h->nlmsg_len < NLMSG_LENGTH(sizeof(*e)) ? -EPROTO
			       : e->error			       ? e->error
								       : -EPROTO;
		}
		r = add(l, h);
		if (r < 0)
			return r;
	}
	return 1;
}

int os_unix_sockets(pid_t pid, struct os_unix_socket **list, size_t *n)
{
	struct list l = {0};
	uint8_t *buf = malloc(BUF);
	int fd = buf ? diag_socket(pid) : -ENOMEM, r = fd;

	if (fd >= 0)
		r = ask_all(fd);
	if (r >= 0)
		r = 1;
	while (r == 1) {
		ssize_t len = recv(fd, buf, BUF, 0);

		if (len < 0 && errno == EINTR)
			continue;
		r = len < 0 ? -errno : len == 0 ? -EPROTO : take(&l, buf, (size_t)len);
	}
	if (fd >= 0)
		close(fd);
	free(buf);
	if (r < 0) {
		free(l.v);
		return r;
	}
	*list = l.v;
	*n = l.n;
	return 0;
}

static bool has_socket(pid_t pid, const char *wanted)
{
	char path[32];
	bool found = false;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	DIR *d = opendir(path);
	for (struct dirent *e; d && !found && (e = readdir(d));) {
		char link[64];
		ssize_t len = readlinkat(dirfd(d), e->d_name, link, sizeof(link) - 1);

		if (len > 0) {
			link[len] = 0;
			found = !strcmp(link, wanted);
		}
	}
	if (d)
		closedir(d);
	return found;
}

pid_t os_socket_owner(uint32_t inode)
{
	char wanted[40];
	pid_t found = 0;
	DIR *d = opendir("/proc");

	snprintf(wanted, sizeof(wanted), "socket:[%u]", inode);
	for (struct dirent *e; d && !found && (e = readdir(d));) {
		pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);

		if (pid > 0 && has_socket(pid, wanted))
			found = pid;
	}
	if (d)
		closedir(d);
	return found;
}
