// SPDX-License-Identifier: LGPL-2.1-or-later
// Bringing a TCP connection back in repair mode, and finding out whether its peer is still at the same place; see tcp.h.
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <time.h>

#include "process/process.h"
#include "resource/socket_state.h"
#include "resource/tcp.h"
#include "resource/tcp_image.h"

enum { CHUNK = 32 << 10 };

static const uint64_t ANSWER_NS =
	300000000; // how long a peer may take to answer the probe

static int set(int fd, int option, int value)
{
	return setsockopt(fd, SOL_TCP, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int set_seq(int fd, int queue, uint32_t seq)
{
	int r = set(fd, TCP_REPAIR_QUEUE, queue);

	return r ? r : set(fd, TCP_QUEUE_SEQ, (int)seq);
}

static int put_bytes(int fd, const uint8_t *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len < CHUNK ? len : CHUNK,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n <= 0)
			return n < 0 ? -errno : -EAGAIN;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int set_negotiated(int fd, const struct tcp_image *t)
{
	struct tcp_repair_opt opts[4];
	socklen_t n = 0;

	if (t->sack)
		opts[n++] = (struct tcp_repair_opt){TCPOPT_SACK_PERMITTED, 0};
	if (t->wscale)
		opts[n++] = (struct tcp_repair_opt){
			TCPOPT_WINDOW, (uint32_t)(t->snd_wscale | t->rcv_wscale << 16)};
	if (t->has_timestamp)
		opts[n++] = (struct tcp_repair_opt){TCPOPT_TIMESTAMP, 0};
	if (t->mss)
		opts[n++] = (struct tcp_repair_opt){TCPOPT_MAXSEG, t->mss};
	if (n && setsockopt(fd, SOL_TCP, TCP_REPAIR_OPTIONS, opts,
			    n * (socklen_t)sizeof(*opts)) < 0)
		return -errno;
	return t->has_timestamp ? set(fd, TCP_TIMESTAMP, (int)t->timestamp) : 0;
}

static int connect_as_it_was(int fd, const struct tcp_image *t,
			     const struct socket_addr *local,
			     const struct socket_addr *remote)
{
	int r = set(fd, TCP_REPAIR, TCP_REPAIR_ON);

	if (!r)
		r = set_seq(fd, TCP_RECV_QUEUE, t->in.seq - (uint32_t)t->in.len);
	if (!r)
		r = set_seq(fd, TCP_SEND_QUEUE,
			    t->out.seq - (uint32_t)t->out.len - tcp_fin_sent(t));
	if (!r && bind(fd, (const void *)&local->sa, local->len) < 0)
		r = -errno;
	if (!r && connect(fd, (const void *)&remote->sa, remote->len) < 0)
		r = -errno;
	return r ? r : set_negotiated(fd, t);
}

static int fill(int fd, const struct tcp_image *t)
{
	int r = set(fd, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE);

	if (!r)
		r = put_bytes(fd, t->in.data, t->in.len);
	if (!r)
		r = set(fd, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE);
	if (!r) // what was sent and not acknowledged; the rest is sent like anything else later
		r = put_bytes(fd, t->out.data, t->out.len - t->unsent);
	if (!r)
		r = set(fd, TCP_REPAIR_QUEUE, TCP_NO_QUEUE);
	if (!r && t->has_window &&
	    setsockopt(fd, SOL_TCP, TCP_REPAIR_WINDOW, &t->window, sizeof(t->window)) < 0)
		r = -errno;
	return r;
}

static struct err *closed_instead(struct restoring *all, size_t index,
				  const json_t *object, const struct socket_type *t,
				  const char *why)
{
	const char *remote = "?";
	const json_t *addr = json_object_get(object, "remote");

	TRY(json_opt_string(addr, "text", remote, &remote));
	TRY(restoring_note(all, "the connection with %s (tcp, object %zu) is closed: %s",
			   remote, index, why));
	return tcp_make_closed(all, index, object, t);
}

static struct err *revive(struct restoring *all, size_t index, const json_t *object,
			  const struct socket_type *type, const struct tcp_image *t,
			  bool inside)
{
	struct socket_addr local, remote;
	struct socket_restoring *s;
	_cleanup_close_ int fd = -1;

	TRY(socket_restoring_get(all, &s));
	TRY(socket_get_addr(object, "local", type->domain, &local));
	TRY(socket_get_addr(object, "remote", type->domain, &remote));
	TRY(socket_create(index, object, type, &fd));
	TRY(socket_set_options(all, index, object, type, fd, OPTIONS_FIRST));
	int r = connect_as_it_was(fd, t, &local, &remote);
	if (!r)
		r = fill(fd, t);
	if (r)
		return closed_instead(
			all, index, object, type,
			r == -EPERM ? "bringing it back needs CAP_NET_ADMIN"
			: r == -EADDRNOTAVAIL || r == -EADDRINUSE
				? "its addresses are in use, or not of this "
				  "machine"
				: strerror(-r));
	TRY(vec_push(&s->revived, (struct revived){.index = index,
						   .inside = inside,
						   .rcv_nxt = t->in.seq}));
	all->files[index] = take_fd(&fd);
	return NULL;
}

struct err *tcp_make_connection(struct restoring *all, size_t index, const json_t *object,
				const struct socket_type *t)
{
	_cleanup_(tcp_image_deinit) struct tcp_image image = {0};
	bool inside;

	TRY(tcp_other_end(all, index, object, &inside));
	if (all->handover)
		return closed_instead(all, index, object, t,
				      "the process that is replaced has it no more");
	if (all->opt->tcp_close && !inside)
		return closed_instead(all, index, object, t, "so it was asked for");
	if (!json_has(object, "tcp"))
		return closed_instead(all, index, object, t,
				      "its state was not saved (CAP_NET_ADMIN)");
	TRY(tcp_image_get(object, &image));
	return revive(all, index, object, t, &image, inside);
}

// Leaves repair mode: the socket lives.
static struct err *let_live(struct restoring *all, size_t index, const json_t *object)
{
	_cleanup_(tcp_image_deinit) struct tcp_image t = {0};
	const json_t *options;
	int fd = all->files[index], reuse;

	TRY(tcp_image_get(object, &t));
	TRY(json_opt_object(object, "options", &options));
	TRY(json_opt_i32(options, "SO_REUSEADDR", 0, INT32_MAX, 0, &reuse));
	int r = set(fd, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
	if (!r && reuse && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse)))
		r = -errno;
	if (!r)
		r = put_bytes(fd, t.out.data + t.out.len - t.unsent, t.unsent);
	if (!r && t.no_more_in && shutdown(fd, SHUT_RD) < 0)
		r = -errno;
	if (!r && tcp_fin_sent(&t) && shutdown(fd, SHUT_WR) < 0)
		r = -errno;
	if (r == -EPIPE || r == -ECONNRESET || r == -ENOTCONN) // the peer was quicker
		r = 0;
	return r ? err_sys(r, "cannot let the connection of object %zu go on", index)
		 : NULL;
}

// What the kernel's struct tcp_info has behind glibc's (Linux 4.2, include/uapi/linux/tcp.h).
struct long_tcp_info {
	struct tcp_info base;
	uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
	uint32_t segs_out, segs_in;
};

enum answer { NO_ANSWER, IN_STEP, ENDED };

// What the peer said to the probe. A valid acknowledgement moves snd_wl1, which leaving repair mode had set back by one, to
// the peer's sequence number; that of a peer which knows of bytes we never sent is dropped by the kernel.
static enum answer answer_of(int fd, const struct revived *v)
{
	struct tcp_repair_window w = {0};
	socklen_t len = sizeof(struct long_tcp_info), wlen = sizeof(w),
		  slen = sizeof(uint32_t);
	struct long_tcp_info info = {0};
	uint32_t seq = 0;

	if (getsockopt(fd, SOL_TCP, TCP_INFO, &info, &len) < 0 ||
	    info.base.tcpi_state == TCP_CLOSE)
		return ENDED;
	if (!info.segs_in)
		return NO_ANSWER;
	if (set(fd, TCP_REPAIR, TCP_REPAIR_ON) ||
	    set(fd, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE))
		return ENDED;
	bool known = !getsockopt(fd, SOL_TCP, TCP_REPAIR_WINDOW, &w, &wlen) &&
		     !getsockopt(fd, SOL_TCP, TCP_QUEUE_SEQ, &seq, &slen);
	set(fd, TCP_REPAIR_QUEUE, TCP_NO_QUEUE);
	// Bytes that follow ours without a gap are as good an answer.
	return known && (w.snd_wl1 == v->rcv_nxt || seq != v->rcv_nxt) ? IN_STEP : ENDED;
}

static struct err *end_one(struct restoring *all, const struct revived *v, const char *why)
{
	const json_t *object = restoring_object(all, v->index);
	int flags = fcntl(all->files[v->index], F_GETFL);
	struct socket_type t;

	t.domain = socket_int(all->files[v->index], SOL_SOCKET, SO_DOMAIN, AF_INET);
	t.type = SOCK_STREAM;
	t.protocol = IPPROTO_TCP;
	set(all->files[v->index], TCP_REPAIR, TCP_REPAIR_ON); // says nothing to the peer
	close(all->files[v->index]);
	all->files[v->index] = -1;
	TRY(closed_instead(all, v->index, object, &t, why));
	if (flags >= 0)
		(void)!fcntl(all->files[v->index], F_SETFL, flags);
	return NULL;
}

static struct err *look_once(struct restoring *all, struct socket_restoring *s, bool last,
			     size_t *open)
{
	*open = 0;
	vec_for_each(v, &s->revived) {
		enum answer a;

		if (v->settled || v->inside)
			continue;
		a = answer_of(all->files[v->index], v);
		if (a == NO_ANSWER && !last) {
			++*open;
			continue;
		}
		v->settled = true;
		if (a != IN_STEP)
			TRY(end_one(
				all, v,
				a == ENDED
					? "its peer has ended it, or is at another place"
					: "its peer does not answer"));
	}
	return NULL;
}

// All are asked together, so that those who do not answer cost their time once.
static struct err *ask_peers(struct restoring *all, struct socket_restoring *s)
{
	uint64_t deadline = monotonic_ns() + ANSWER_NS;
	struct timespec nap = {0, 200000};
	size_t open = 0;

	vec_for_each(v, &s->revived) {
		if (v->inside)
			continue;
		set(all->files[v->index], TCP_REPAIR, TCP_REPAIR_OFF);
		open++;
	}
	while (open) {
		TRY(look_once(all, s, monotonic_ns() > deadline, &open));
		if (open)
			nanosleep(&nap, NULL);
		if (nap.tv_nsec < 5000000)
			nap.tv_nsec *= 2;
	}
	return NULL;
}

struct err *tcp_settle(struct restoring *all)
{
	struct socket_restoring *s = all->sockets;

	if (!s || s->settled)
		return NULL;
	s->settled = true;
	TRY(ask_peers(all, s));
	vec_for_each(v, &s->revived) {
		const json_t *object = restoring_object(all, v->index);
		struct socket_type t = {.type = SOCK_STREAM, .protocol = IPPROTO_TCP};
		int fd = all->files[v->index];

		// In repair mode still: the closed ones are not.
		if (socket_int(fd, SOL_TCP, TCP_REPAIR, 0) != 1)
			continue;
		t.domain = socket_int(fd, SOL_SOCKET, SO_DOMAIN, AF_INET);
		TRY(let_live(all, v->index, object));
		TRY(socket_set_options(all, v->index, object, &t, fd, OPTIONS_LAST));
	}
	return NULL;
}

struct err *tcp_join(struct restoring *all, size_t index, const json_t *object)
{
	(void)index;
	(void)object;
	return tcp_settle(all);
}
