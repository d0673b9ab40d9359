// SPDX-License-Identifier: LGPL-2.1-or-later
// Reading a living TCP connection in repair mode, unharmed.
//
// Repair mode is a property of the socket, and a socket that stayed in it would be dead for its program; leaving it also clears
// SO_REUSEADDR. So all is done apart (os/apart.h), in some 20 system calls, and again by the tool should that process have been
// killed. Packets go on arriving meanwhile, so each queue is read until its sequence number is the same before and behind.
// While the *sending* queue is selected, data not sent yet that an arriving acknowledgement releases would be taken as sent without
// being (the retransmission timer sends it, 200 ms late): it is selected for three calls only, and not at all when it is empty.
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "os/apart.h"
#include "os/uapi.h"
#include "resource/tcp.h"

enum { TRIES = 200, SLACK = 1 << 20 };

struct side {
	uint32_t seq; // behind the last byte of the queue
	uint8_t *data;
	size_t len, size;
	int unsent;
};

struct look {
	int fd;
	int reuse;
	struct tcp_info info;
	struct tcp_repair_window window;
	bool has_window;
	uint32_t timestamp, mss;
	struct side in, out;
	bool no_more_in;
	int result; // 0, -errno; -ENOBUFS: more is queued than there is room for
};

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
static int peek(int fd, struct side *s, int queued)
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

static int try_receiving(struct look *l)
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

static int try_sending(struct look *l)
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

static int read_queues(struct look *l)
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

static void repair_off(const struct look *l)
{
	int off = TCP_REPAIR_OFF_NO_WP;

	(void)!setsockopt(l->fd, SOL_TCP, TCP_REPAIR, &off, sizeof(off));
	(void)!setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &l->reuse, sizeof(l->reuse));
}

static void read_apart(void *arg)
{
	struct look *l = arg;
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

static int room(struct side *s, size_t size)
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

static void look_deinit(struct look *l)
{
	if (l->in.data)
		munmap(l->in.data, l->in.size);
	if (l->out.data)
		munmap(l->out.data, l->out.size);
}

static int take_look(struct look *l)
{
	int in = socket_int(l->fd, SOL_SOCKET, SO_RCVBUF, 0);
	int out = socket_int(l->fd, SOL_SOCKET, SO_SNDBUF, 0);
	// What is queued can be more than the limits say, never by much.
	int r = room(&l->in, (size_t)in * 4 + SLACK);

	if (!r)
		r = room(&l->out, (size_t)out * 4 + SLACK);
	if (r)
		return r;
	l->reuse = socket_int(l->fd, SOL_SOCKET, SO_REUSEADDR, 0);
	r = os_run_apart(read_apart, l);
	if (r == -EIO) {
		repair_off(l);
		r = os_run_apart(read_apart, l);
		if (r == -EIO)
			repair_off(l);
	}
	return r ? r : l->result;
}

static struct err *put_side(json_t *tcp, const char *name, const struct side *s)
{
	json_t *o;

	TRY(json_put_object(tcp, name, &o));
	TRY(json_put_int(o, "seq", s->seq));
	TRY(json_put_bytes(o, "data", s->data, s->len));
	return s->unsent ? json_put_int(o, "unsent", s->unsent) : NULL;
}

static struct err *put_window(json_t *tcp, const struct tcp_repair_window *w)
{
	json_t *o;

	TRY(json_put_object(tcp, "window", &o));
	TRY(json_put_int(o, "snd_wl1", w->snd_wl1));
	TRY(json_put_int(o, "snd_wnd", w->snd_wnd));
	TRY(json_put_int(o, "max_window", w->max_window));
	TRY(json_put_int(o, "rcv_wnd", w->rcv_wnd));
	return json_put_int(o, "rcv_wup", w->rcv_wup);
}

static struct err *put_look(json_t *object, const struct look *l)
{
	const struct tcp_info *i = &l->info;
	json_t *tcp;

	TRY(json_put_object(object, "tcp", &tcp));
	TRY(json_put_int(tcp, "state", i->tcpi_state));
	TRY(json_put_int(tcp, "mss", l->mss));
	if (i->tcpi_options & TCPI_OPT_WSCALE) {
		TRY(json_put_int(tcp, "snd_wscale", i->tcpi_snd_wscale));
		TRY(json_put_int(tcp, "rcv_wscale", i->tcpi_rcv_wscale));
	}
	TRY(json_put_bool(tcp, "sack", i->tcpi_options & TCPI_OPT_SACK));
	if (i->tcpi_options & TCPI_OPT_TIMESTAMPS)
		TRY(json_put_int(tcp, "timestamp", l->timestamp));
	if (l->no_more_in)
		TRY(json_put_bool(tcp, "no_more_in", true));
	TRY(put_side(tcp, "in", &l->in));
	TRY(put_side(tcp, "out", &l->out));
	return l->has_window ? put_window(tcp, &l->window) : NULL;
}

struct err *tcp_save_connection(const struct open_file *f, int fd, json_t *object)
{
	_cleanup_(look_deinit) struct look l = {.fd = fd};
	char ulp[16] = "";
	socklen_t len = sizeof(ulp);

	// What the kernel adds to the stream by itself (kTLS, MPTCP) cannot be set again.
	if (socket_int(fd, SOL_SOCKET, SO_PROTOCOL, 0) != IPPROTO_TCP ||
	    (!getsockopt(fd, SOL_TCP, TCP_ULP, ulp, &len) && len && *ulp))
		return NULL;
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};
	int r = take_look(&l);
	// The peer's end, or the program wants no more.
	l.no_more_in = poll(&p, 1, 0) == 1 && (p.revents & POLLRDHUP);
	if (!r)
		return put_look(object, &l);
	if (r ==
	    -EPERM) // without CAP_NET_ADMIN it can be handed over, or it will be found reset
		return NULL;
	return saving_note(
		f->s->all,
		"descriptor %d (tcp) of process %d: the state of the connection "
		"cannot be read: %s",
		f->fd, f->pid, strerror(-r));
}
