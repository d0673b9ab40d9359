// SPDX-License-Identifier: LGPL-2.1-or-later
// UDP sockets: addresses, options, datagrams that wait to be read. Also the kernel's ping sockets, which are alike.
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "resource/datagram.h"
#include "resource/socket_queue.h"

static bool fits(const struct socket_type *t)
{
	return (t->domain == AF_INET || t->domain == AF_INET6) && t->type == SOCK_DGRAM &&
	       (t->protocol == IPPROTO_UDP || t->protocol == IPPROTO_UDPLITE ||
		t->protocol == IPPROTO_ICMP || t->protocol == IPPROTO_ICMPV6);
}

static bool recognises(const struct open_file *f)
{
	struct socket_type t;

	return socket_type_of(f, &t) && fits(&t);
}

static struct err *save(const struct open_file *f, json_t *object)
{
	_cleanup_close_ int fd = -1;
	struct socket_type t;

	TRY(open_file_here(f, &fd));
	TRY(socket_save_common(f, fd, object));
	if (!socket_type_of(f, &t))
		return NULL;
	return socket_save_queue(f, &t, fd, object);
}

static bool has_port(const struct socket_addr *a)
{
	const struct sockaddr_in *in = (const void *)&a->sa;

	return a->len && in->sin_port; // at the same place in both families
}

static bool is_any(const struct socket_addr *a)
{
	const struct sockaddr_in *in = (const void *)&a->sa;
	const struct sockaddr_in6 *in6 = (const void *)&a->sa;

	return a->sa.ss_family == AF_INET ? in->sin_addr.s_addr == 0
					  : IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
}

static const struct in6_addr mapped_loopback = {
	.s6_addr = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1}};

// Where a datagram went that shall arrive at the socket again.
static void destination(const struct socket_addr *local, const struct queued *q,
			struct socket_addr *to)
{
	struct sockaddr_in *in = (void *)&to->sa;
	struct sockaddr_in6 *in6 = (void *)&to->sa;
	const struct sockaddr_in6 *from = (const void *)&q->from.sa;

	*to = *local;
	if (!is_any(local))
		return;
	if (q->to.len) {
		in_port_t port = in->sin_port;

		*to = q->to;
		in->sin_port = port;
	} else if (local->sa.ss_family == AF_INET) {
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	} else {
		in6->sin6_addr = IN6_IS_ADDR_V4MAPPED(&from->sin6_addr) ? mapped_loopback
									: in6addr_loopback;
	}
}

// Datagrams are sent again with the address they came from. Those that cannot be are lost, as datagrams may be.
static struct err *fill(struct restoring *all, size_t index, const json_t *object,
			const struct socket_type *t, const struct socket_addr *local)
{
	const json_t *queue;
	size_t lost = 0;

	TRY(json_opt_array(object, "queue", QUEUE_MESSAGES_MAX, &queue));
	for (size_t i = 0; i < json_array_size(queue); i++) {
		_cleanup_(queued_deinit) struct queued q;
		struct socket_addr to;

		TRY(socket_get_queued(all, queue, i, t->domain, &q));
		destination(local, &q, &to);
		if (t->protocol != IPPROTO_UDP || !has_port(&q.from) || !has_port(&to) ||
		    datagram_send(&q.from, &to, q.data, q.len) < 0)
			lost++;
	}
	return lost ? restoring_note(all,
				     "udp socket (object %zu): %zu of %zu datagrams that "
				     "waited to be read are lost",
				     index, lost, json_array_size(queue))
		    : NULL;
}

static struct err *bind_local(struct restoring *all, size_t index, const json_t *object,
			      int fd, const struct socket_addr *local, bool connected)
{
	if (!has_port(local))
		return NULL;
	struct err *e = socket_bind(index, object, fd, local);
	if (!e || !connected)
		return e;
	// Its port was most likely given by the kernel.
	struct err *noted =
		restoring_note(all, "udp socket (object %zu): %s; it gets another port",
			       index, e->message);
	err_free(e);
	return noted;
}

static struct err *make(struct restoring *all, size_t index, const json_t *object)
{
	struct socket_addr local, remote;
	_cleanup_close_ int fd = -1;
	struct socket_type t;

	TRY(socket_get_type(object, index, fits, &t));
	TRY(socket_get_addr(object, "local", t.domain, &local));
	TRY(socket_get_addr(object, "remote", t.domain, &remote));
	TRY(socket_create(index, object, &t, &fd));
	TRY(socket_set_options(all, index, object, &t, fd, OPTIONS_FIRST));
	TRY(bind_local(all, index, object, fd, &local, remote.len));
	if (remote.len && connect(fd, (const void *)&remote.sa, remote.len) < 0)
		TRY(restoring_note(all, "udp socket (object %zu) is not connected: %s",
				   index, strerror(errno)));
	TRY(socket_set_options(all, index, object, &t, fd, OPTIONS_LAST));
	TRY(fill(all, index, object, &t, &local));
	all->files[index] = take_fd(&fd);
	return NULL;
}

const struct file_kind kind_udp = {
	.name = "udp",
	.recognises = recognises,
	.save = save,
	.make = make,
};
