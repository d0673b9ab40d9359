// SPDX-License-Identifier: LGPL-2.1-or-later
// What waited in the queues of UNIX sockets, then their shutdowns and options; see unix_restore.c.
#include <errno.h>
#include <string.h>

#include "resource/handover.h"
#include "resource/socket_queue.h"
#include "resource/socket_state.h"
#include "resource/tcp_image.h"
#include "resource/unix.h"

static bool has_name(const struct socket_addr *a)
{
	return a->len > sizeof(sa_family_t);
}

static struct far_end *far_end_of(const struct restoring *all, size_t index)
{
	struct socket_restoring *s = all->sockets;

	for (size_t i = 0; s && i < s->n_far; i++)
		if (s->far[i].index == index)
			return &s->far[i];
	return NULL;
}

// The other end, from which its queue is filled; -1: it has none.
static struct err *other_end(struct restoring *all, size_t index,
			     const struct unix_image *u, int *ret)
{
	const struct far_end *far = far_end_of(all, index);
	struct unix_image o;
	size_t other;
	bool inside;

	*ret = far ? far->fd : -1;
	TRY(unix_find(all, u->peer, &inside, &other));
	if (far || !inside)
		return NULL;
	TRY(unix_image_get(restoring_object(all, other), other, &o));
	if (o.peer == u->inode)
		*ret = all->files[other];
	return NULL;
}

// A socket of the checkpoint with that name, so that the reader can answer it; else one without a name.
static struct err *sender_named(struct restoring *all, const struct socket_addr *name,
				int *ret)
{
	*ret = -1;
	for (size_t i = 0; has_name(name) && i < all->n_files; i++) {
		const json_t *o = restoring_object(all, i);
		const char *kind;
		struct socket_addr local;

		TRY(json_get_string(o, "kind", &kind));
		if (strcmp(kind, "unix") || all->files[i] < 0)
			continue;
		TRY(socket_get_addr(o, "local", AF_UNIX, &local));
		if (!socket_addr_equal(&local, name))
			continue;
		*ret = all->files[i];
		return NULL;
	}
	return NULL;
}

static int send_with_room(int fd, const struct queued *q, const struct socket_addr *to,
			  bool *weaker)
{
	int r = socket_send_queued(fd, q, to, weaker);
	int before = socket_int(fd, SOL_SOCKET, SO_SNDBUF, 0) / 2;
	int more = before + (int)(q->len > (1 << 28) ? 1 << 28 : q->len) + (1 << 20);

	if (r != -EAGAIN && r != -EMSGSIZE && r != -ENOBUFS)
		return r;
	// What is queued counts against the sender's buffer, and it has all of it at once.
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &more, sizeof(more)) < 0)
		return r;
	r = socket_send_queued(fd, q, to, weaker);
	(void)!setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &before, sizeof(before));
	return r;
}

static struct err *put_back(struct restoring *all, const json_t *queue, size_t i,
			    const struct unix_image *u, int other, bool *lost,
			    bool *weaker)
{
	_cleanup_(queued_deinit) struct queued q = {0};
	_cleanup_close_ int nobody = -1;
	struct socket_addr to = {.len = 0};
	int from = other;

	TRY(socket_get_queued(all, queue, i, AF_UNIX, &q));
	if (from < 0) {
		to = u->local;
		TRY(sender_named(all, &q.from, &from));
	}
	if (from < 0) {
		nobody = socket(AF_UNIX, u->type.type | SOCK_CLOEXEC, 0);
		from = nobody;
		*weaker |= has_name(&q.from);
	}
	int r = send_with_room(from, &q, &to, weaker);
	*lost |= r < 0;
	return r < 0 && other >= 0
		       ? err_sys(r, "cannot put back what waited in a UNIX socket")
		       : NULL;
}

static struct err *fill(struct restoring *all, size_t index, const json_t *object,
			const struct unix_image *u)
{
	_cleanup_(unix_leave) int before = -1;
	bool lost = false, weaker = false;
	const json_t *queue;
	int other;

	TRY(json_opt_array(object, "queue", QUEUE_MESSAGES_MAX, &queue));
	if (!json_array_size(queue))
		return NULL;
	TRY(other_end(all, index, u, &other));
	TRY(unix_enter(object, &before));
	for (size_t i = 0; i < json_array_size(queue); i++)
		TRY(put_back(all, queue, i, u, other, &lost, &weaker));
	if (lost)
		TRY(restoring_note(
			all,
			"unix socket (object %zu): not all messages that waited are "
			"there again: it has no name to send them to",
			index));
	if (weaker)
		TRY(restoring_note(
			all,
			"unix socket (object %zu): messages that wait have lost who "
			"sent them: that process or name is gone",
			index));
	return NULL;
}

// A datagram socket finds the peer by its name: of the checkpoint, or a service such as /dev/log.
static struct err *reconnect(struct restoring *all, size_t index,
			     const struct unix_image *u)
{
	struct socket_addr now;
	char text[160];

	socket_remote(all->files[index], &now);
	if (u->type.type != SOCK_DGRAM || !has_name(&u->remote) || now.len ||
	    far_end_of(all, index))
		return NULL;
	if (!connect(all->files[index], (const void *)&u->remote.sa, u->remote.len))
		return NULL;
	int r = errno;
	socket_addr_text(&u->remote, text, sizeof(text));
	return restoring_note(all, "unix socket (object %zu) is not connected with %s: %s",
			      index, text, strerror(r));
}

struct err *unix_join(struct restoring *all, size_t index, const json_t *object)
{
	struct unix_image u;

	TRY(tcp_settle(all)); // they may be among what waits here
	if (handover_is(all, index) || all->files[index] < 0)
		return NULL;
	TRY(unix_image_get(object, index, &u));
	return reconnect(all, index, &u);
}

// Not before the processes are there: a message that carries who sent it can be sent only while that process lives.
static struct err *fill_all(struct restoring *all)
{
	struct socket_restoring *s;

	TRY(socket_restoring_get(all, &s));
	if (s->filled)
		return NULL;
	s->filled = true;
	for (size_t i = 0; i < all->n_files; i++) {
		const json_t *object = restoring_object(all, i);
		struct unix_image u;
		const char *kind;

		TRY(json_get_string(object, "kind", &kind));
		if (strcmp(kind, "unix") || all->files[i] < 0 || handover_is(all, i))
			continue;
		TRY(unix_image_get(object, i, &u));
		if (strcmp(u.state, "listening"))
			TRY(err_wrap(fill(all, i, object, &u), "object %zu (unix)", i));
	}
	return NULL;
}

struct err *unix_start(struct restoring *all, size_t index, const json_t *object)
{
	static const int how[] = {0, SHUT_RD, SHUT_WR, SHUT_RDWR};
	struct far_end *far = far_end_of(all, index);
	int fd = all->files[index];
	struct unix_image u;

	TRY(fill_all(all));
	if (handover_is(all, index))
		return NULL;
	TRY(unix_image_get(object, index, &u));
	if (far && far->fd >= 0)
		close(take_fd(&far->fd));
	else if (u.shutdown && shutdown(fd, how[u.shutdown]) < 0 && errno != ENOTCONN)
		return err_sys(errno, "cannot shut down a UNIX socket");
	return socket_set_options(all, index, object, &u.type, fd, OPTIONS_LAST);
}
