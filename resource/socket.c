// SPDX-License-Identifier: LGPL-2.1-or-later
// Sockets: what their kinds have in common, and the kind of those that are no other.
#include "resource/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "resource/handover.h"
#include "resource/socket_state.h"

static bool look(const struct open_file *f, struct socket_type *ret)
{
	int fd;
	struct err *e = open_file_here(f, &fd);

	if (e) {
		err_free(e);
		return false;
	}
	*ret = (struct socket_type){
		socket_int(fd, SOL_SOCKET, SO_DOMAIN, -1),
		socket_int(fd, SOL_SOCKET, SO_TYPE, -1),
		socket_int(fd, SOL_SOCKET, SO_PROTOCOL, -1),
	};
	close(fd);
	return ret->domain >= 0 && ret->type >= 0 && ret->protocol >= 0;
}

bool socket_type_of(const struct open_file *f, struct socket_type *ret)
{
	struct socket_saving *s;

	if (!S_ISSOCK(f->st.st_mode))
		return false;
	struct err *e = socket_saving_get(f->s->all, &s);
	if (e) {
		err_free(e);
		return look(f, ret);
	}
	if (s->last.pid != f->pid || s->last.fd != f->fd || s->last.ino != f->st.st_ino) {
		if (!look(f, &s->last.type))
			return false;
		s->last.pid = f->pid;
		s->last.fd = f->fd;
		s->last.ino = f->st.st_ino;
	}
	*ret = s->last.type;
	return true;
}

// What finds the same socket in a living process again, until the next boot.
static struct err *save_identity(const struct open_file *f, int fd, json_t *object)
{
	uint64_t cookie;
	socklen_t len = sizeof(cookie);

	TRY(json_put_int(object, "inode", (int64_t)f->st.st_ino));
	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0 ||
	    len != sizeof(cookie))
		return NULL;
	TRY(json_put_mask(object, "cookie", cookie));
	return handover_save_boot(f->s->all);
}

struct err *socket_save_common(const struct open_file *f, int fd, json_t *object)
{
	struct socket_addr local, remote;
	struct socket_type t;

	if (!socket_type_of(f, &t))
		return open_file_refuse(
			f, "unsaved-descriptor",
			"the kernel does not say what kind of socket it is");
	TRY(json_put_int(object, "domain", t.domain));
	TRY(json_put_int(object, "type", t.type));
	TRY(json_put_int(object, "protocol", t.protocol));
	TRY(save_identity(f, fd, object));
	socket_local(fd, &local);
	socket_remote(fd, &remote);
	TRY(socket_put_addr(object, "local", &local));
	TRY(socket_put_addr(object, "remote", &remote));
	return socket_save_options(f, &t, fd, object);
}

struct err *socket_get_type(const json_t *object, size_t index,
			    bool (*fits)(const struct socket_type *t),
			    struct socket_type *ret)
{
	TRY(json_get_i32(object, "domain", 0, INT16_MAX, &ret->domain));
	TRY(json_get_i32(object, "type", 0, 10, &ret->type));
	TRY(json_get_i32(object, "protocol", 0, INT16_MAX, &ret->protocol));
	if (!fits(ret))
		return restoring_bad(index, object,
				     "domain, type and protocol are not of this kind");
	return NULL;
}

struct err *socket_create(size_t index, const json_t *object, const struct socket_type *t,
			  int *fd)
{
	*fd = socket(t->domain, t->type | SOCK_CLOEXEC, t->protocol);
	(void)object;
	return *fd < 0 ? err_sys(errno, "cannot make the socket of object %zu", index)
		       : NULL;
}

struct err *socket_bind(size_t index, const json_t *object, int fd,
			const struct socket_addr *a)
{
	const char *kind = "socket";
	char text[160];

	if (!a->len || !bind(fd, (const struct sockaddr *)&a->sa, a->len))
		return NULL;
	int r = errno;
	socket_addr_text(a, text, sizeof(text));
	TRY(json_opt_string(object, "kind", kind, &kind));
	if (r == EADDRINUSE)
		return err_refuse(
			"address-in-use", text,
			"%s address %s is in use (object %zu): the process that "
			"has it runs still, or another took it",
			kind, text, index);
	if (r == EADDRNOTAVAIL)
		return err_refuse("address-in-use", text,
				  "%s address %s is none of this machine (object %zu)",
				  kind, text, index);
	return err_sys(r, "cannot bind %s address %s (object %zu)", kind, text, index);
}

// Raw sockets, packet sockets, vsock, crypto ... : only a living process can hand them over.
static bool other_recognises(const struct open_file *f)
{
	return S_ISSOCK(f->st.st_mode);
}

static struct err *other_save(const struct open_file *f, json_t *object)
{
	struct socket_type t;

	(void)object;
	if (!socket_type_of(f, &t))
		return open_file_refuse(f, "unsaved-socket", "it cannot be looked at");
	return open_file_refuse(
		f, "unsaved-socket",
		"sockets of family %d, type %d, protocol %d cannot be made again",
		t.domain, t.type, t.protocol);
}

static struct err *other_make(struct restoring *all, size_t index, const json_t *object)
{
	(void)all;
	return restoring_bad(index, object, "molt saves no such sockets");
}

const struct file_kind kind_other_socket = {
	.name = "socket",
	.recognises = other_recognises,
	.save = other_save,
	.make = other_make,
};
