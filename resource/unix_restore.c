// SPDX-License-Identifier: LGPL-2.1-or-later
// Making UNIX sockets again; see unix.h. First all are made and the pairs connected (make, join), then all queues are filled,
// from the other end of each, and at last they are shut down and given their options (start): a socket that sends no more
// could not fill its peer's queue.
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "resource/socket_state.h"
#include "resource/unix.h"

static bool fits(const struct socket_type *t)
{
	return t->domain == AF_UNIX && (t->type == SOCK_STREAM || t->type == SOCK_DGRAM ||
					t->type == SOCK_SEQPACKET);
}

static bool has_name(const struct socket_addr *a)
{
	return a->len > sizeof(sa_family_t);
}

static bool is_abstract(const struct socket_addr *a)
{
	return !((const struct sockaddr_un *)(const void *)&a->sa)->sun_path[0];
}

struct err *unix_image_get(const json_t *object, size_t index, struct unix_image *ret)
{
	TRY(socket_get_type(object, index, fits, &ret->type));
	TRY(json_get_string(object, "state", &ret->state));
	TRY(socket_get_addr(object, "local", AF_UNIX, &ret->local));
	TRY(socket_get_addr(object, "remote", AF_UNIX, &ret->remote));
	TRY(json_get_int(object, "inode", 0, UINT32_MAX, &ret->inode));
	TRY(json_opt_int(object, "peer", 0, UINT32_MAX, -1, &ret->peer));
	TRY(json_opt_i32(object, "backlog", 0, INT32_MAX, 0, &ret->backlog));
	TRY(json_opt_i32(object, "shutdown", 0, 3, 0, &ret->shutdown));
	if (ret->peer >= 0 && !strcmp(ret->state, "listening"))
		return restoring_bad(index, object, "it listens and is connected");
	return json_opt_bool(object, "needs_handover", false, &ret->outside);
}

static int by_inode(const void *a, const void *b)
{
	const struct unix_end *x = a, *y = b;

	return (x->inode > y->inode) - (x->inode < y->inode);
}

static struct err *read_ends(struct restoring *all, struct socket_restoring *s)
{
	s->unix_ends = calloc(all->n_files + 1, sizeof(*s->unix_ends));
	if (!s->unix_ends)
		return err_nomem();
	for (size_t i = 0; i < all->n_files; i++) {
		const json_t *o = restoring_object(all, i);
		const char *kind;
		int64_t inode;

		TRY(json_get_string(o, "kind", &kind));
		if (strcmp(kind, "unix"))
			continue;
		TRY(json_opt_int(o, "inode", 0, UINT32_MAX, -1, &inode));
		s->unix_ends[s->n_unix++] = (struct unix_end){inode, i};
	}
	if (s->n_unix)
		qsort(s->unix_ends, s->n_unix, sizeof(*s->unix_ends), by_inode);
	return NULL;
}

struct err *unix_find(struct restoring *all, int64_t inode, bool *found, size_t *index)
{
	struct unix_end key = {.inode = inode}, *end;
	struct socket_restoring *s;

	TRY(socket_restoring_get(all, &s));
	if (!s->unix_ends)
		TRY(read_ends(all, s));
	end = s->n_unix ? bsearch(&key, s->unix_ends, s->n_unix, sizeof(key), by_inode)
			: NULL;
	*found = inode > 0 && end;
	if (*found)
		*index = end->index;
	return NULL;
}

struct err *unix_is_outside(struct restoring *all, size_t index, const json_t *object,
			    bool *ret)
{
	struct unix_image u;
	size_t peer;

	TRY(unix_image_get(object, index, &u));
	TRY(unix_find(all, u.peer, ret, &peer));
	*ret = !*ret && u.peer != 0;
	return NULL;
}

static struct err *keep_far_end(struct restoring *all, size_t index, int fd)
{
	struct socket_restoring *s;

	TRY(socket_restoring_get(all, &s));
	if (s->n_far == s->cap_far) {
		size_t cap = s->cap_far ? s->cap_far * 2 : 16;
		void *v = reallocarray(s->far, cap, sizeof(*s->far));

		if (!v) {
			close(fd);
			return err_nomem();
		}
		s->far = v;
		s->cap_far = cap;
	}
	s->far[s->n_far++] = (struct far_end){index, fd};
	return NULL;
}

static struct err *set_first(struct restoring *all, size_t index, const json_t *object,
			     const struct unix_image *u)
{
	return socket_set_options(all, index, object, &u->type, all->files[index],
				  OPTIONS_FIRST);
}

// Connected, the other end being closed since, or never to come back.
static struct err *make_single(struct restoring *all, size_t index, const json_t *object,
			       const struct unix_image *u)
{
	int pair[2];

	if (socketpair(AF_UNIX, u->type.type | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(errno, "cannot make a pair of sockets");
	all->files[index] = pair[0];
	TRY(keep_far_end(all, index, pair[1]));
	return set_first(all, index, object, u);
}

// A connection has the listening socket's name at one end: it is made through that socket, if it is here.
static struct err *find_listener(struct restoring *all, const struct unix_image *u,
				 const json_t **object, int *ret)
{
	struct socket_restoring *s = all->sockets;

	*ret = -1;
	for (size_t i = 0; has_name(&u->local) && i < s->n_unix; i++) {
		const json_t *o = restoring_object(all, s->unix_ends[i].index);
		const char *state = json_string_value(json_object_get(o, "state"));
		struct socket_addr local;

		if (!state || strcmp(state, "listening"))
			continue;
		TRY(socket_get_addr(o, "local", AF_UNIX, &local));
		if (!socket_addr_equal(&local, &u->local))
			continue;
		if (all->files[s->unix_ends[i].index] < 0)
			TRY(unix_make(all, s->unix_ends[i].index, o));
		*ret = all->files[s->unix_ends[i].index];
		*object = o;
		return NULL;
	}
	return NULL;
}

// Somebody else's connection may have come first: it cannot be put back, so it is closed.
static int accept_own(int listener, int client)
{
	struct socket_addr mine;

	socket_local(client, &mine);
	for (int tries = 0; tries < 100; tries++) {
		struct ucred u = {0};
		socklen_t len = sizeof(u);
		struct pollfd p = {.fd = listener, .events = POLLIN};
		int fd = poll(&p, 1, 1000) == 1 ? 0 : -1;

		if (fd < 0)
			return -EAGAIN;
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			return -errno;
		if (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &len) && u.pid == getpid())
			return fd;
		close(fd);
	}
	return -EAGAIN;
}

static struct err *connect_through(int listener, const json_t *object,
				   const struct unix_image *server, int *server_fd,
				   int *client_fd, bool *done)
{
	_cleanup_close_ int fd =
		socket(AF_UNIX, server->type.type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	_cleanup_close_ int other = -1;
	_cleanup_(unix_leave) int before = -1;

	*done = false;
	if (fd < 0)
		return err_sys(errno, "cannot make a socket");
	TRY(unix_enter(object, &before));
	if (connect(fd, (const void *)&server->local.sa, server->local.len) < 0)
		return NULL;
	other = accept_own(listener, fd);
	if (other < 0)
		return NULL;
	*server_fd = take_fd(&other);
	*client_fd = take_fd(&fd);
	*done = true;
	return NULL;
}

static struct err *make_pair(struct restoring *all, const struct unix_image u[2],
			     const size_t index[2])
{
	int listener, pair[2] = {-1, -1};
	const json_t *object;
	bool done = false;

	for (int i = 0; i < 2 && !done; i++) {
		if (u[i].type.type == SOCK_DGRAM)
			continue;
		TRY(find_listener(all, &u[i], &object, &listener));
		if (listener >= 0)
			TRY(connect_through(listener, object, &u[i], &pair[i],
					    &pair[1 - i], &done));
	}
	if (!done && socketpair(AF_UNIX, u[0].type.type | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(errno, "cannot make a pair of sockets");
	for (int i = 0; i < 2; i++)
		all->files[index[i]] = pair[i];
	return NULL;
}

static struct err *bind_if_free(struct restoring *all, size_t index, const json_t *object,
				const struct unix_image *u)
{
	struct socket_addr now;

	socket_local(all->files[index], &now);
	if (!has_name(&u->local) || has_name(&now))
		return NULL;
	if (u->type.type == SOCK_DGRAM)
		return unix_bind_saved(all, index, object, all->files[index], &u->local);
	// An accepted socket shares its listening socket's file; to make that file anew would take it from its owner.
	if (!is_abstract(&u->local))
		return NULL;
	struct err *e = unix_bind_saved(all, index, object, all->files[index], &u->local);
	if (!e || e->kind == ERR_CORRUPT)
		return e;
	struct err *noted =
		restoring_note(all, "unix socket (object %zu) has no name any more: %s",
			       index, e->message);
	err_free(e);
	return noted;
}

static struct err *make_connected(struct restoring *all, size_t index,
				  const json_t *object, const struct unix_image *u,
				  size_t other)
{
	const json_t *object2 = restoring_object(all, other);
	const size_t index2[2] = {index, other};
	struct unix_image both[2] = {*u};

	TRY(unix_image_get(object2, other, &both[1]));
	if (both[1].type.type != u->type.type || both[1].peer != u->inode ||
	    other == index)
		return restoring_bad(index, object, "object %zu is not its other end",
				     other);
	if (all->files[other] >= 0)
		return restoring_bad(index, object, "object %zu is made already", other);
	TRY(make_pair(all, both, index2));
	TRY(set_first(all, index, object, u));
	TRY(set_first(all, other, object2, &both[1]));
	TRY(bind_if_free(all, index, object, u));
	return bind_if_free(all, other, object2, &both[1]);
}

static struct err *make_unconnected(struct restoring *all, size_t index,
				    const json_t *object, const struct unix_image *u)
{
	_cleanup_close_ int fd = -1;

	TRY(socket_create(index, object, &u->type, &fd));
	TRY(socket_set_options(all, index, object, &u->type, fd, OPTIONS_FIRST));
	TRY(unix_bind_saved(all, index, object, fd, &u->local));
	if (!strcmp(u->state, "listening") && listen(fd, u->backlog) < 0)
		return err_sys(errno, "cannot listen (object %zu)", index);
	all->files[index] = take_fd(&fd);
	return NULL;
}

struct err *unix_make(struct restoring *all, size_t index, const json_t *object)
{
	struct unix_image u;
	bool inside, mutual = false;
	size_t other = 0;

	TRY(unix_image_get(object, index, &u));
	TRY(unix_find(all, u.peer, &inside, &other));
	if (inside) {
		struct unix_image o;

		TRY(unix_image_get(restoring_object(all, other), other, &o));
		mutual = o.peer == u.inode && all->files[other] < 0;
	}
	if (mutual)
		return make_connected(all, index, object, &u, other);
	if (u.peer < 0 || (u.type.type == SOCK_DGRAM && u.peer && has_name(&u.remote)))
		return make_unconnected(all, index, object, &u);
	if (u.outside)
		TRY(restoring_note(all,
				   "unix socket (object %zu) is closed: its peer was not "
				   "saved",
				   index));
	return make_single(all, index, object, &u);
}
