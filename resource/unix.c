// SPDX-License-Identifier: LGPL-2.1-or-later
// Saving UNIX sockets; see unix.h.
#include "resource/unix.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "resource/socket_queue.h"
#include "resource/socket_state.h"

static bool fits(const struct socket_type *t)
{
	return t->domain == AF_UNIX;
}

static bool recognises(const struct open_file *f)
{
	struct socket_type t;

	return socket_type_of(f, &t) && fits(&t);
}

static const struct os_unix_socket *listed(const struct socket_saving *s, uint32_t inode)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->sockets[mid].inode == inode)
			return &s->sockets[mid];
		if (s->sockets[mid].inode < inode)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static struct err *remember(struct socket_saving *s, const struct open_file *f)
{
	if (s->n_objects == s->cap_objects) {
		size_t cap = s->cap_objects ? s->cap_objects * 2 : 64;
		void *v = reallocarray(s->objects, cap, sizeof(*s->objects));

		if (!v)
			return err_nomem();
		s->objects = v;
		s->cap_objects = cap;
	}
	s->objects[s->n_objects++] =
		(struct unix_object){(uint32_t)f->st.st_ino, f->index};
	s->sorted = false;
	return NULL;
}

static int by_inode(const void *a, const void *b)
{
	const struct unix_object *x = a, *y = b;

	return (x->inode > y->inode) - (x->inode < y->inode);
}

static bool is_saved(struct socket_saving *s, uint32_t inode)
{
	struct unix_object key = {.inode = inode};

	if (!s->sorted && s->n_objects)
		qsort(s->objects, s->n_objects, sizeof(*s->objects), by_inode);
	s->sorted = true;
	return s->n_objects &&
	       bsearch(&key, s->objects, s->n_objects, sizeof(*s->objects), by_inode);
}

static struct err *save_state(const struct open_file *f, const struct os_unix_socket *u,
			      json_t *object)
{
	bool listening = u->state == TCP_LISTEN;
	const char *state = listening	  ? "listening"
			    : u->has_peer ? "connected"
					  : "unconnected";

	TRY(json_put(object, "state", json_string(state)));
	if (listening)
		TRY(json_put_int(object, "backlog", u->backlog));
	if (u->has_peer)
		TRY(json_put_int(object, "peer", u->peer));
	if (u->shutdown)
		TRY(json_put_int(object, "shutdown", u->shutdown & 3));
	if (listening && u->queued)
		return saving_note(
			f->s->all,
			"descriptor %d (unix) of process %d: %u connections that it "
			"has not accepted yet are not saved",
			f->fd, f->pid, u->queued);
	return NULL;
}

static struct err *save(const struct open_file *f, json_t *object)
{
	_cleanup_close_ int fd = -1;
	struct socket_saving *s;
	struct socket_addr local;
	struct socket_type t;

	TRY(open_file_here(f, &fd));
	TRY(socket_saving_unix(f, &s));
	TRY(remember(s, f));
	const struct os_unix_socket *u = listed(s, (uint32_t)f->st.st_ino);
	if (!u || !socket_type_of(f, &t))
		return open_file_refuse(f, "unsaved-socket",
					"it belongs to another network namespace");
	TRY(socket_save_common(f, fd, object));
	TRY(save_state(f, u, object));
	socket_local(fd, &local);
	if (u->state == TCP_LISTEN || t.type == SOCK_DGRAM)
		TRY(unix_save_file(f, &local, u->vfs_dev, u->vfs_ino, object));
	return u->state == TCP_LISTEN ? NULL : socket_save_queue(f, &t, fd, object);
}

static struct err *refuse_outside(const struct open_file *f, uint32_t peer,
				  const struct socket_addr *remote)
{
	pid_t pid = os_socket_owner(peer);
	char text[160], who[48] = "an unknown process";

	socket_addr_text(remote, text, sizeof(text));
	if (pid)
		snprintf(who, sizeof(who), "process %d", pid);
	return open_file_refuse(
		f, "peer-outside",
		"it is connected%s%s with %s, which is not saved; --skip unix "
		"goes without this connection",
		*text ? " through " : "", text, who);
}

static struct err *save_late(const struct open_file *f, json_t *object)
{
	struct socket_saving *s;
	struct socket_addr remote = {.len = 0};
	uint64_t peer = 0;

	if (!json_has(object, "peer"))
		return NULL;
	TRY(socket_saving_unix(f, &s));
	TRY(json_get_u64(object, "peer", UINT32_MAX, &peer));
	if (!peer || is_saved(s, (uint32_t)peer))
		return NULL;
	TRY(socket_get_addr(object, "remote", AF_UNIX, &remote));
	// A datagram socket finds a named peer again.
	if (json_integer_value(json_object_get(object, "type")) == SOCK_DGRAM &&
	    remote.len > sizeof(sa_family_t))
		return NULL;
	TRY(json_put_bool(object, "needs_handover", true));
	if (!saving_skips(f->s->all, "unix"))
		return refuse_outside(f, (uint32_t)peer, &remote);
	return saving_note(
		f->s->all,
		"descriptor %d (unix) of process %d: its peer is not saved; only a "
		"restore with --replace brings the connection back",
		f->fd, f->pid);
}

const struct file_kind kind_unix = {
	.name = "unix",
	.skips_itself = true,
	.recognises = recognises,
	.save = save,
	.save_late = save_late,
	.make = unix_make,
	.join = unix_join,
	.start = unix_start,
};
