// SPDX-License-Identifier: LGPL-2.1-or-later
// Receive queues of UNIX and UDP sockets; see socket_queue.h.
//
// MSG_PEEK shows the first message only. The next ones are seen with SO_PEEK_OFF, a property of the living socket: a program
// that peeks itself would see another message than the first if it stayed. So the reading is done apart (os/apart.h), where a
// SIGKILL of the tool does not keep it from being put back.
#include "resource/socket_queue.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/param.h>

#include "os/apart.h"

enum {
	CONTROL = 4096, // 253 descriptors, credentials, addresses, time stamps
	ROOM_FIRST = 16 << 20,
	ROOM_MAX = 1 << 30,
};

struct message { // as it stands in the area; the data follow, padded to 16
	struct sockaddr_storage from;
	socklen_t from_len;
	uint32_t control_len;
	uint64_t len;
	uint64_t rights_at; // of a stream: which byte the descriptors came with
	uint8_t control[CONTROL];
};

struct reading {
	int fd;
	bool stream;
	bool ends;     // a message of no bytes is the end
	size_t wanted; // bytes of a stream
	int peek_off;
	uint8_t *area;
	size_t size, used;
	size_t n;
	int result; // 0 or -errno; -ENOBUFS: the area is too small
};

static size_t padded(size_t n)
{
	return (n + 15) & ~(size_t)15;
}

static void close_rights(const struct cmsghdr *c)
{
	size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
		close(fd);
	}
}

// The control messages of a message, one after the other.
static struct cmsghdr *next_control(struct message *m, struct cmsghdr *c)
{
	struct msghdr h = {.msg_control = m->control, .msg_controllen = m->control_len};

	return c ? CMSG_NXTHDR(&h, c) : CMSG_FIRSTHDR(&h);
}

static bool is_rights(const struct cmsghdr *c)
{
	return c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS;
}

// A stream gives bytes sent before together with those that bring descriptors, which are the last buffer of what it gives.
// Where that one begins says a second look for which there is no room for the last byte: the kernel copies whole buffers
// only, or fails.
static void find_rights(struct reading *r, struct message *m, size_t sum)
{
	struct iovec iov[2] = {{m + 1, m->len - 1}, {(void *)1, 1}};
	struct msghdr h = {.msg_iov = iov, .msg_iovlen = 2};
	int base = (int)sum, end = (int)(sum + m->len);
	bool any = false;

	for (struct cmsghdr *c = NULL; (c = next_control(m, c));)
		any |= is_rights(c);
	if (!any || !r->stream)
		return;
	(void)!setsockopt(r->fd, SOL_SOCKET, SO_PEEK_OFF, &base, sizeof(base));
	ssize_t n = recvmsg(r->fd, &h, MSG_PEEK | MSG_DONTWAIT);
	if (n > 0 && (size_t)n < m->len)
		m->rights_at = (size_t)n;
	(void)!setsockopt(r->fd, SOL_SOCKET, SO_PEEK_OFF, &end, sizeof(end));
}

// One message; 1: there may be more.
static int read_one(struct reading *r, size_t sum, size_t *got)
{
	struct message *m = (void *)(r->area + r->used);

	if (r->size - r->used < sizeof(*m) + 16)
		return -ENOBUFS;
	size_t room = r->size - r->used - sizeof(*m);
	struct iovec iov = {m + 1, room};
	struct msghdr h = {
		.msg_name = &m->from,
		.msg_namelen = sizeof(m->from),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = m->control,
		.msg_controllen = sizeof(m->control),
	};
	ssize_t len = recvmsg(r->fd, &h, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (len < 0)
		return errno == EAGAIN ? 0 : -errno;
	m->from_len = h.msg_namelen;
	m->control_len = (uint32_t)h.msg_controllen;
	m->len = (uint64_t)len;
	r->used += sizeof(*m) + padded((size_t)len);
	r->n++;
	*got = (size_t)len;
	if ((h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || (size_t)len == room)
		return -ENOBUFS;
	find_rights(r, m, sum);
	return 1;
}

static void read_all(void *arg)
{
	struct reading *r = arg;
	int off = 0, more = 1;
	size_t sum = 0, got = 0;

	if (setsockopt(r->fd, SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off)) < 0) {
		r->result = -errno;
		return;
	}
	while (more == 1 && (!r->stream || sum < r->wanted)) {
		more = read_one(r, sum, &got);
		if (more == 1 && !got && r->ends) {
			r->n--;
			more = 0;
		}
		sum += got;
		got = 0;
	}
	r->result = more < 0 ? more : 0;
	(void)!setsockopt(r->fd, SOL_SOCKET, SO_PEEK_OFF, &r->peek_off,
			  sizeof(r->peek_off));
}

static void drop(struct reading *r)
{
	size_t at = 0;

	for (size_t i = 0; i < r->n; i++) {
		struct message *m = (void *)(r->area + at);

		for (struct cmsghdr *c = NULL; (c = next_control(m, c));)
			if (is_rights(c))
				close_rights(c);
		at += sizeof(*m) + padded(m->len);
	}
	r->used = r->n = 0;
}

static struct err *add_rights(struct saver *s, const struct cmsghdr *c, json_t *entry)
{
	size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	struct err *e = NULL;
	json_t *list;

	e = json_put_array(entry, "files", &list);
	for (size_t i = 0; i < n; i++) {
		size_t index;
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
		if (e) {
			close(fd);
			continue;
		}
		e = saving_add_here(s, fd, &index);
		if (!e)
			e = json_add(list, json_integer((json_int_t)index));
	}
	return e;
}

static struct err *add_other(const struct cmsghdr *c, json_t *entry)
{
	struct socket_addr to = {.len = 0};
	struct in_pktinfo in;
	struct in6_pktinfo in6;
	struct ucred u;

	if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS &&
	    c->cmsg_len >= CMSG_LEN(sizeof(u))) {
		memcpy(&u, CMSG_DATA(c), sizeof(u));
		TRY(json_put_int(entry, "pid", u.pid));
		TRY(json_put_int(entry, "uid", u.uid));
		return json_put_int(entry, "gid", u.gid);
	}
	if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_PKTINFO &&
	    c->cmsg_len >= CMSG_LEN(sizeof(in))) {
		memcpy(&in, CMSG_DATA(c), sizeof(in));
		struct sockaddr_in *a = (void *)&to.sa;
		*a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = in.ipi_addr};
		to.len = sizeof(*a);
	} else if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_PKTINFO &&
		   c->cmsg_len >= CMSG_LEN(sizeof(in6))) {
		memcpy(&in6, CMSG_DATA(c), sizeof(in6));
		struct sockaddr_in6 *a = (void *)&to.sa;
		*a = (struct sockaddr_in6){.sin6_family = AF_INET6,
					   .sin6_addr = in6.ipi6_addr};
		to.len = sizeof(*a);
	}
	return socket_put_addr(entry, "to", &to);
}

static struct err *put_one(const struct open_file *f, struct message *m, json_t *queue)
{
	struct socket_addr from = {.sa = m->from, .len = m->from_len};
	struct err *e = NULL;
	json_t *entry = NULL;

	if (m->len > QUEUE_MESSAGE_MAX)
		e = open_file_refuse(f, "socket-queue",
				     "too many bytes wait in its queue");
	if (!e && m->rights_at) {
		e = json_add_object(queue, &entry);
		if (!e)
			e = json_put_bytes(entry, "data", m + 1, m->rights_at);
	}
	if (!e)
		e = json_add_object(queue, &entry);
	if (!e)
		e = json_put_bytes(entry, "data", (uint8_t *)(m + 1) + m->rights_at,
				   m->len - m->rights_at);
	if (!e && from.len > sizeof(sa_family_t))
		e = socket_put_addr(entry, "from", &from);
	for (struct cmsghdr *c = NULL; (c = next_control(m, c));) {
		if (e && is_rights(c))
			close_rights(c);
		else if (!e)
			e = is_rights(c) ? add_rights(f->s, c, entry)
					 : add_other(c, entry);
	}
	return e;
}

static struct err *put_all(const struct open_file *f, struct reading *r, json_t *object)
{
	struct err *e = NULL;
	json_t *queue = NULL;
	size_t at = 0, i = 0;

	if (!r->n)
		return NULL;
	e = json_put_array(object, "queue", &queue);
	for (; i < r->n && !e; i++) {
		struct message *m = (void *)(r->area + at);

		at += sizeof(*m) + padded(m->len);
		e = put_one(f, m, queue);
	}
	// What is left of the descriptors in an error: those of the messages behind.
	r->n -= i;
	memmove(r->area, r->area + at, r->used - at);
	drop(r);
	return e;
}

// False: there is nothing to be read, or an error waits that the reading would take from the program.
static bool worth_reading(int fd, struct reading *r)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int inq = 0;

	if (poll(&p, 1, 0) < 1 || !(p.revents & POLLIN))
		return false;
	if (!r->stream)
		return !(p.revents & POLLERR);
	if (ioctl(fd, SIOCINQ, &inq) < 0 || inq <= 0)
		return false;
	r->wanted = (size_t)inq;
	return true;
}

struct err *socket_save_queue(const struct open_file *f, const struct socket_type *t,
			      int fd, json_t *object)
{
	struct reading r = {.fd = fd,
			    .stream = t->type == SOCK_STREAM,
			    .ends = t->type == SOCK_SEQPACKET,
			    .peek_off = socket_int(fd, SOL_SOCKET, SO_PEEK_OFF, -1)};
	struct err *e = NULL;

	if (!worth_reading(fd, &r))
		return NULL;
	for (r.size = ROOM_FIRST; !e; r.size *= 4) {
		r.area = mmap(NULL, r.size, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (r.area == MAP_FAILED)
			return err_nomem();
		int failed = os_run_apart(read_all, &r);
		if (failed < 0) // killed: whatever it had set is put back here
			(void)!setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &r.peek_off,
					  sizeof(r.peek_off));
		if (failed >= 0)
			failed = r.result;
		if (!failed)
			e = put_all(f, &r, object);
		else
			drop(&r);
		munmap(r.area, r.size);
		if (!failed)
			return e;
		if (failed != -ENOBUFS || r.size >= ROOM_MAX)
			e = err_sys(
				failed,
				"cannot read the queue of descriptor %d of process %d",
				f->fd, f->pid);
	}
	return e;
}
