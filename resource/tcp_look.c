// SPDX-License-Identifier: LGPL-2.1-or-later
// Reading living TCP connections in repair mode, unharmed; see tcp_look.h.
//
// Repair mode is a property of the socket, and a socket that stayed in it would be dead for its program; leaving it also clears
// SO_REUSEADDR. So all is done apart (os/apart.h), in some 20 system calls, and again by the tool should that process have been
// killed. Packets go on arriving meanwhile, so each queue is read until its sequence number is the same before and behind.
// While the *sending* queue is selected, data not sent yet that an arriving acknowledgement releases would be taken as sent without
// being (the retransmission timer sends it, 200 ms late): it is selected for three calls only, and not at all when it is empty.
#include "resource/tcp_look.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "os/apart.h"
#include "resource/socket.h"

enum { TRIES = 200, SLACK = 1 << 20, SMALL = 16 << 10 };

static int select_queue(int fd, int queue)
{
	return setsockopt(fd, SOL_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)) < 0
		       ? -errno
		       : 0;
}

static int get_u32(int fd, int option, uint32_t *ret)
{
	socklen_t len = sizeof(*ret);

	return getsockopt(fd, SOL_TCP, option, ret, &len) < 0 ? -errno : 0;
}

// Bytes that wait; -EAGAIN: they changed under our hands.
static int peek(int fd, struct tcp_side *s, int queued)
{
	s->len = 0;
	if (queued < 0 || (size_t)queued > s->size)
		return -ENOBUFS;
	if (!queued)
		return 0;
	ssize_t n = recv(fd, s->data, s->size, MSG_PEEK | MSG_DONTWAIT);
	if (n != queued)
		return n < 0 && errno != EAGAIN ? -errno : -EAGAIN;
	s->len = (size_t)n;
	return 0;
}

static int try_receiving(struct tcp_look *l)
{
	uint32_t before = 0;
	int queued = 0, r = get_u32(l->fd, TCP_QUEUE_SEQ, &before);

	if (!r && ioctl(l->fd, SIOCINQ, &queued) < 0)
		r = -errno;
	if (!r)
		r = peek(l->fd, &l->in, queued);
	if (!r)
		r = get_u32(l->fd, TCP_QUEUE_SEQ, &l->in.seq);
	return r ? r : before == l->in.seq ? 0 : -EAGAIN;
}

// 1: the end that the program sent is among what is not acknowledged, without being a byte.
static int fin_waits(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, SOL_TCP, TCP_INFO, &info, &len) < 0)
		return -errno;
	return info.tcpi_state == TCP_FIN_WAIT1 || info.tcpi_state == TCP_CLOSING ||
	       info.tcpi_state == TCP_LAST_ACK;
}

static int try_sending(struct tcp_look *l)
{
	int queued = 0, again = 0, fin = fin_waits(l->fd);

	if (fin < 0 || ioctl(l->fd, SIOCOUTQ, &queued) < 0 ||
	    ioctl(l->fd, SIOCOUTQNSD, &l->out.unsent) < 0)
		return -errno;
	int r = select_queue(l->fd, TCP_SEND_QUEUE);
	if (!r)
		r = get_u32(l->fd, TCP_QUEUE_SEQ, &l->out.seq);
	if (!r)
		r = peek(l->fd, &l->out, queued - fin);
	if (select_queue(l->fd, TCP_RECV_QUEUE) < 0)
		return -EIO;
	if (!r && ioctl(l->fd, SIOCOUTQ, &again) < 0)
		r = -errno;
	if (l->out.unsent > (int)l->out.len)
		l->out.unsent = (int)l->out.len;
	return r ? r : again == queued ? 0 : -EAGAIN;
}

static int read_queues(struct tcp_look *l)
{
	int r = select_queue(l->fd, TCP_RECV_QUEUE);

	for (int i = 0; !r && i < TRIES; i++) {
		r = try_receiving(l);
		if (!r)
			r = try_sending(l);
		if (r != -EAGAIN)
			break;
		r = i + 1 < TRIES ? 0 : -EAGAIN;
	}
	return r;
}

static void repair_off(const struct tcp_look *l)
{
	int off = TCP_REPAIR_OFF_NO_WP;

	(void)!setsockopt(l->fd, SOL_TCP, TCP_REPAIR, &off, sizeof(off));
	(void)!setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &l->reuse, sizeof(l->reuse));
}

static void read_one(struct tcp_look *l)
{
	socklen_t len = sizeof(l->info);
	int on = TCP_REPAIR_ON;

	if (setsockopt(l->fd, SOL_TCP, TCP_REPAIR, &on, sizeof(on)) < 0) {
		l->result = -errno;
		return;
	}
	l->result = read_queues(l);
	if (getsockopt(l->fd, SOL_TCP, TCP_INFO, &l->info, &len) < 0)
		l->result = -errno;
	len = sizeof(l->window);
	l->has_window = !getsockopt(l->fd, SOL_TCP, TCP_REPAIR_WINDOW, &l->window, &len);
	get_u32(l->fd, TCP_TIMESTAMP, &l->timestamp);
	get_u32(l->fd, TCP_MAXSEG, &l->mss);
	repair_off(l);
}

static void read_many(void *arg)
{
	struct tcp_looks *looks = arg;

	for (size_t i = 0; i < looks->n; i++)
		read_one(&looks->v[i]);
}

static void read_alone(void *arg)
{
	read_one(arg);
}

static int room(struct tcp_side *s, size_t size)
{
	s->data = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (s->data == MAP_FAILED) {
		s->data = NULL;
		return -ENOMEM;
	}
	s->size = size;
	return 0;
}

// With as much room as its buffers could take.
static void look_alone(struct tcp_look *l)
{
	int in = socket_int(l->fd, SOL_SOCKET, SO_RCVBUF, 0);
	int out = socket_int(l->fd, SOL_SOCKET, SO_SNDBUF, 0);
	// What is queued can be more than the limits say, never by much.
	int r = room(&l->in, (size_t)in * 4 + SLACK);

	l->alone = true;
	if (!r)
		r = room(&l->out, (size_t)out * 4 + SLACK);
	if (!r)
		r = os_run_apart(read_alone, l);
	if (r == -EIO)
		repair_off(l);
	if (r)
		l->result = r;
}

static void set_up(struct tcp_look *l, uint8_t *small)
{
	struct pollfd p = {.fd = l->fd, .events = POLLRDHUP};

	l->reuse = socket_int(l->fd, SOL_SOCKET, SO_REUSEADDR, 0);
	// The peer's end, or the program wants no more.
	l->no_more_in = poll(&p, 1, 0) == 1 && (p.revents & POLLRDHUP);
	l->result = -EIO;
	l->in.data = small;
	l->out.data = small + SMALL;
	l->in.size = l->out.size = SMALL;
}

int tcp_look(struct tcp_looks *looks)
{
	looks->size = (looks->n ? looks->n : 1) * 2 * SMALL;
	looks->area = mmap(NULL, looks->size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (looks->area == MAP_FAILED) {
		looks->area = NULL;
		return -ENOMEM;
	}
	for (size_t i = 0; i < looks->n; i++)
		set_up(&looks->v[i], looks->area + i * 2 * SMALL);
	int r = os_run_apart(read_many, looks);
	for (size_t i = 0; i < looks->n; i++) {
		struct tcp_look *l = &looks->v[i];

		if (r == -EIO && l->result == -EIO) // killed before it, or in it
			repair_off(l);
		else if (r && r != -EIO)
			l->result = r;
		if (l->result == -ENOBUFS || l->result == -EIO)
			look_alone(l);
	}
	return 0;
}

void tcp_looks_deinit(struct tcp_looks *looks)
{
	for (size_t i = 0; i < looks->n; i++) {
		struct tcp_look *l = &looks->v[i];

		if (l->alone && l->in.data)
			munmap(l->in.data, l->in.size);
		if (l->alone && l->out.data)
			munmap(l->out.data, l->out.size);
		close(l->fd);
	}
	if (looks->area)
		munmap(looks->area, looks->size);
	*looks = (struct tcp_looks){.n = 0};
}
