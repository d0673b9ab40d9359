// SPDX-License-Identifier: LGPL-2.1-or-later
// TCP sockets: listening ones, and what becomes of connections (tcp.h).
#include "resource/tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>

#include "resource/tcp_image.h"

enum { MPTCP = 262 }; // IPPROTO_MPTCP

static bool fits(const struct socket_type *t)
{
	return (t->domain == AF_INET || t->domain == AF_INET6) && t->type == SOCK_STREAM &&
	       (t->protocol == IPPROTO_TCP || t->protocol == MPTCP);
}

static bool recognises(const struct open_file *f)
{
	struct socket_type t;

	return socket_type_of(f, &t) && fits(&t);
}

static bool has_port(const struct socket_addr *a)
{
	return a->len && ((const struct sockaddr_in *)(const void *)&a->sa)->sin_port;
}

static const char *state_of(int fd, const struct tcp_info *info)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};
	struct socket_addr local;

	switch (info->tcpi_state) {
	case TCP_LISTEN:
		return "listening";
	case TCP_CLOSE:
		// A connection that ended reads as closed, a new socket does not.
		if (poll(&p, 1, 0) == 1 && (p.revents & POLLRDHUP))
			return "closed";
		socket_local(fd, &local);
		return has_port(&local) ? "bound" : "new";
	case TCP_SYN_SENT:
	case TCP_SYN_RECV:
		return "connecting";
	default:
		return "connected";
	}
}

static struct err *save_listening(const struct open_file *f, int fd,
				  const struct tcp_info *info, json_t *object)
{
	int fastopen = socket_int(fd, SOL_TCP, TCP_FASTOPEN, 0);
	int mss = socket_int(fd, SOL_TCP, TCP_MAXSEG, 0);

	// For a listening socket these are the lengths of its queue: now, and at most.
	TRY(json_put_int(object, "backlog", info->tcpi_sacked));
	if (fastopen > 0)
		TRY(json_put_int(object, "fastopen", fastopen));
	if (mss > 0 && mss != TCP_MSS_DEFAULT)
		TRY(json_put_int(object, "mss", mss));
	if (!info->tcpi_unacked)
		return NULL;
	return saving_note(
		f->s->all,
		"descriptor %d (tcp) of process %d: %u connections that it has not "
		"accepted yet are not saved",
		f->fd, f->pid, info->tcpi_unacked);
}

static struct err *save(const struct open_file *f, json_t *object)
{
	_cleanup_close_ int fd = -1;
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	TRY(open_file_here(f, &fd));
	TRY(socket_save_common(f, fd, object));
	if (getsockopt(fd, SOL_TCP, TCP_INFO, &info, &len) < 0)
		return err_sys(errno, "cannot read the state of a TCP socket");
	const char *state = state_of(fd, &info);
	TRY(json_put(object, "state", json_string(state)));
	if (info.tcpi_state == TCP_LISTEN)
		return save_listening(f, fd, &info, object);
	if (!strcmp(state, "connected"))
		return tcp_save_connection(f, fd, object);
	return NULL;
}

static struct err *save_late(const struct open_file *f, json_t *object)
{
	(void)object;
	return tcp_save_waiting(f->s->all);
}

static struct err *make_listening(size_t index, const json_t *object, int fd)
{
	int backlog, fastopen, mss;

	TRY(json_get_i32(object, "backlog", 0, INT32_MAX, &backlog));
	TRY(json_opt_i32(object, "fastopen", 0, INT32_MAX, 0, &fastopen));
	TRY(json_opt_i32(object, "mss", 0, 65535, 0, &mss));
	if (mss)
		(void)!setsockopt(fd, SOL_TCP, TCP_MAXSEG, &mss, sizeof(mss));
	if (listen(fd, backlog) < 0)
		return errno == EADDRINUSE
			       ? err_refuse(
					 "address-in-use", NULL,
					 "another socket listens at the address of tcp "
					 "object %zu",
					 index)
			       : err_sys(errno, "cannot listen (object %zu)", index);
	if (fastopen)
		(void)!setsockopt(fd, SOL_TCP, TCP_FASTOPEN, &fastopen, sizeof(fastopen));
	return NULL;
}

// A connection with ourselves over the loopback. Without such a device *peer is -1, and fd a socket that is not connected, which
// reads as an error, too.
static struct err *make_loop(const struct socket_type *t, int *fd, int *peer)
{
	_cleanup_close_ int l = -1;
	struct socket_addr at = {.len = sizeof(struct sockaddr_in)};

	if (t->domain == AF_INET6) {
		*(struct sockaddr_in6 *)(void *)&at.sa = (struct sockaddr_in6){
			.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
		at.len = sizeof(struct sockaddr_in6);
	} else {
		*(struct sockaddr_in *)(void *)&at.sa = (struct sockaddr_in){
			.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	}
	*peer = -1;
	l = socket(t->domain, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	*fd = socket(t->domain, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	if (l < 0 || *fd < 0)
		return err_sys(errno, "cannot make a socket");
	if (bind(l, (void *)&at.sa, at.len) < 0 || listen(l, 1) < 0)
		return NULL;
	socket_local(l, &at);
	if (!connect(*fd, (void *)&at.sa, at.len))
		*peer = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	return NULL;
}

// What the peer had sent before it said that it sends no more, then the end. False: not all fits.
static bool send_rest(int peer, const struct tcp_image *t)
{
	int room = (int)t->in.len + (1 << 16);

	if (t->in.len > INT32_MAX / 2)
		return false;
	(void)!setsockopt(peer, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	return send(peer, t->in.data, t->in.len, MSG_DONTWAIT | MSG_NOSIGNAL) ==
	       (ssize_t)t->in.len;
}

struct err *tcp_make_closed(struct restoring *all, size_t index, const json_t *object,
			    const struct socket_type *t)
{
	_cleanup_(tcp_image_deinit) struct tcp_image image = {0};
	struct linger reset = {1, 0};
	_cleanup_close_ int fd = -1;
	_cleanup_close_ int peer = -1;
	struct pollfd p = {.events = POLLIN};

	if (json_has(object, "tcp"))
		TRY(tcp_image_get(object, &image));
	TRY(make_loop(t, &fd, &peer));
	// Reading gives ECONNRESET and then the end, and poll says so; with an orderly end, what came before it.
	if (peer >= 0 && !(image.no_more_in && send_rest(peer, &image)))
		setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	if (peer >= 0) {
		close(take_fd(&peer));
		p.fd = fd;
		poll(&p, 1, 1000); // it arrives at once, over the loopback
	}
	// What the program asks of the options it set shall still be so.
	TRY(socket_set_options(all, index, object, t, fd, OPTIONS_LAST));
	all->files[index] = take_fd(&fd);
	return NULL;
}

static struct err *make(struct restoring *all, size_t index, const json_t *object)
{
	_cleanup_close_ int fd = -1;
	struct socket_addr local;
	struct socket_type t;
	const char *state;

	TRY(socket_get_type(object, index, fits, &t));
	TRY(socket_get_addr(object, "local", t.domain, &local));
	TRY(json_get_string(object, "state", &state));
	if (!strcmp(state, "connected"))
		return tcp_make_connection(all, index, object, &t);
	if (!strcmp(state, "closed") || !strcmp(state, "connecting"))
		return tcp_make_closed(all, index, object, &t);
	TRY(socket_create(index, object, &t, &fd));
	TRY(socket_set_options(all, index, object, &t, fd, OPTIONS_FIRST));
	if (strcmp(state, "new"))
		TRY(socket_bind(index, object, fd, &local));
	if (!strcmp(state, "listening"))
		TRY(make_listening(index, object, fd));
	else if (strcmp(state, "new") && strcmp(state, "bound"))
		return restoring_bad(index, object, "there is no state '%s'", state);
	TRY(socket_set_options(all, index, object, &t, fd, OPTIONS_LAST));
	all->files[index] = take_fd(&fd);
	return NULL;
}

const struct file_kind kind_tcp = {
	.name = "tcp",
	.recognises = recognises,
	.save = save,
	.save_late = save_late,
	.make = make,
	.join = tcp_join,
};
