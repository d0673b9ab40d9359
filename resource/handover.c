// SPDX-License-Identifier: LGPL-2.1-or-later
// What a living process hands over, and which saved object it is; see handover.h.
//
// A socket is the same one if it has the saved cookie (a number the kernel gives each socket once, until the next boot). If
// the program was started anew since, its listening and UDP sockets have other cookies, and their addresses say it.
#include "resource/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "os/boot.h"
#include "os/fds.h"
#include "os/proc.h"
#include "resource/socket.h"
#include "resource/unix.h"

struct candidate {
	int fd;	    // the tool's
	int number; // in the process
	bool taken;
	struct stat st;
	int flags;
	struct socket_type type; // of sockets
	uint64_t cookie;
	bool listening;
	struct socket_addr local, remote;
};

struct handover_fds {
	VEC(struct candidate) v;
	bool same_boot;
	bool *handed; // for each object
	size_t n_handed;
};

struct err *handover_save_boot(struct saving *all)
{
	char id[BOOT_ID_SIZE];

	if (json_has(all->objects, "boot_id"))
		return NULL;
	int r = os_boot_id(id);
	return r < 0 ? err_sys(r, "cannot read the id of this boot")
		     : json_put_text(all->objects, "boot_id", id);
}

static void look_at_socket(struct candidate *c)
{
	socklen_t len = sizeof(c->cookie);

	c->type.domain = socket_int(c->fd, SOL_SOCKET, SO_DOMAIN, -1);
	c->type.type = socket_int(c->fd, SOL_SOCKET, SO_TYPE, -1);
	c->type.protocol = socket_int(c->fd, SOL_SOCKET, SO_PROTOCOL, -1);
	c->listening = socket_int(c->fd, SOL_SOCKET, SO_ACCEPTCONN, 0) > 0;
	if (getsockopt(c->fd, SOL_SOCKET, SO_COOKIE, &c->cookie, &len) < 0)
		c->cookie = 0;
	socket_local(c->fd, &c->local);
	socket_remote(c->fd, &c->remote);
}

static bool is_wanted(mode_t mode)
{
	return S_ISSOCK(mode) || S_ISFIFO(mode) || S_ISCHR(mode);
}

static struct err *take_one(struct handover_fds *h, const struct handover *from,
			    int number)
{
	struct candidate c = {.number = number};

	c.fd = os_pidfd_getfd(from->pidfd, number);
	if (c.fd == -EBADF) // opened with O_PATH
		return NULL;
	if (c.fd < 0)
		return err_sys(c.fd, "cannot take descriptor %d of process %d", number,
			       from->pid);
	c.flags = fcntl(c.fd, F_GETFL);
	if (fstat(c.fd, &c.st) < 0 || c.flags < 0 || !is_wanted(c.st.st_mode)) {
		close(c.fd);
		return NULL;
	}
	if (S_ISSOCK(c.st.st_mode))
		look_at_socket(&c);
	struct err *e = vec_push(&h->v, c);
	if (e)
		close(c.fd);
	return e;
}

static struct err *take_from(struct handover_fds *h, const struct handover *from)
{
	pid_t pid = from->pid;
	_cleanup_close_ int dir = os_proc_open(pid, 0, "fd", O_RDONLY | O_DIRECTORY);
	_cleanup_free_ int *fds = NULL;
	size_t n = 0;
	int r = dir < 0 ? dir : os_fds(dir, &fds, &n);

	if (r < 0)
		return err_sys(r, "cannot list the descriptors of process %d", pid);
	for (size_t i = 0; i < n; i++)
		TRY(take_one(h, from, fds[i]));
	return NULL;
}

struct err *handover_read(struct restoring *all)
{
	char now[BOOT_ID_SIZE];
	const char *then;

	if (!all->handover)
		return NULL;
	struct handover_fds *h = all->handed = calloc(1, sizeof(*h));
	if (!h || !(h->handed = calloc(all->n_files + 1, sizeof(*h->handed))))
		return err_nomem();
	h->n_handed = all->n_files;
	TRY(json_opt_string(all->objects, "boot_id", "", &then));
	h->same_boot = os_boot_id(now) >= 0 && !strcmp(then, now);
	for (const struct handover *from = all->handover; from; from = from->next)
		TRY(take_from(h, from));
	return NULL;
}

struct sought {
	struct socket_type type;
	uint64_t cookie; // 0: none that means something
	const char *state;
	struct socket_addr local, remote;
};

static bool has_port(const struct socket_addr *a)
{
	return a->len && ((const struct sockaddr_in *)(const void *)&a->sa)->sin_port;
}

// Whether the addresses alone say which socket it is.
static bool says_which(const struct sought *s)
{
	switch (s->type.domain) {
	case AF_INET:
	case AF_INET6:
		return has_port(&s->local);
	case AF_UNIX:
		return s->local.len > sizeof(sa_family_t) && !s->remote.len;
	default:
		return false;
	}
}

static bool same_type(const struct candidate *c, const struct sought *s)
{
	return S_ISSOCK(c->st.st_mode) && c->type.domain == s->type.domain &&
	       c->type.type == s->type.type && c->type.protocol == s->type.protocol;
}

static struct candidate *find_socket(struct handover_fds *h, const struct sought *s)
{
	vec_for_each(c, &h->v)
		if (!c->taken && s->cookie && c->cookie == s->cookie && same_type(c, s) &&
		    c->listening == !strcmp(s->state, "listening"))
			return c;
	if (!says_which(s))
		return NULL;
	vec_for_each(c, &h->v)
		if (!c->taken && same_type(c, s) &&
		    c->listening == !strcmp(s->state, "listening") &&
		    socket_addr_equal(&c->local, &s->local) &&
		    socket_addr_equal(&c->remote, &s->remote))
			return c;
	return NULL;
}

static struct err *seek_socket(struct restoring *all, const json_t *object,
			       struct candidate **ret)
{
	struct handover_fds *h = all->handed;
	struct sought s = {0};

	TRY(json_get_i32(object, "domain", 0, INT16_MAX, &s.type.domain));
	TRY(json_get_i32(object, "type", 0, 10, &s.type.type));
	TRY(json_get_i32(object, "protocol", 0, INT16_MAX, &s.type.protocol));
	TRY(json_opt_mask(object, "cookie", 0, &s.cookie));
	TRY(json_opt_string(object, "state", "", &s.state));
	TRY(socket_get_addr(object, "local", s.type.domain, &s.local));
	TRY(socket_get_addr(object, "remote", s.type.domain, &s.remote));
	if (!h->same_boot)
		s.cookie = 0;
	*ret = find_socket(h, &s);
	return NULL;
}

// A pipe or terminal with an end that no checkpoint has (outside.h).
static struct err *seek_file(struct restoring *all, const json_t *object,
			     struct candidate **ret)
{
	struct handover_fds *h = all->handed;
	const json_t *outside;
	uint64_t dev, ino;
	int flags;

	TRY(json_opt_object(object, "outside", &outside));
	if (!outside || !h->same_boot)
		return NULL;
	TRY(json_get_i32(object, "flags", 0, INT32_MAX, &flags));
	TRY(json_get_u64(outside, "dev", INT64_MAX, &dev));
	TRY(json_get_u64(outside, "ino", INT64_MAX, &ino));
	vec_for_each(c, &h->v)
		if (!*ret && !c->taken && c->st.st_dev == dev && c->st.st_ino == ino &&
		    (c->flags & O_ACCMODE) == (flags & O_ACCMODE))
			*ret = c;
	return NULL;
}

// Which kinds a living process hands over. What connects processes of the checkpoint with each other is not among them:
// its queue has to fit their memory.
static struct err *wants_socket(struct restoring *all, size_t index, const json_t *object,
				const char *kind, bool *ret)
{
	*ret = !strcmp(kind, "tcp") || !strcmp(kind, "udp") || !strcmp(kind, "netlink") ||
	       !strcmp(kind, "socket");
	if (!strcmp(kind, "unix"))
		return unix_is_outside(all, index, object, ret);
	return NULL;
}

bool handover_is(const struct restoring *all, size_t index)
{
	return all->handed && index < all->handed->n_handed && all->handed->handed[index];
}

struct err *handover_take(struct restoring *all, size_t index, const json_t *object)
{
	struct candidate *c = NULL;
	const char *kind;
	bool wanted;

	if (!all->handed)
		return NULL;
	TRY(json_get_string(object, "kind", &kind));
	TRY(wants_socket(all, index, object, kind, &wanted));
	if (wanted)
		TRY(seek_socket(all, object, &c));
	else if (!strcmp(kind, "pipe") || !strcmp(kind, "terminal"))
		TRY(seek_file(all, object, &c));
	if (!c)
		return NULL;
	c->taken = true;
	all->files[index] = take_fd(&c->fd);
	all->handed->handed[index] = true;
	return NULL;
}

// Processes of a tree may share a connection.
static bool is_lost(const struct handover_fds *h, const struct candidate *c)
{
	if (c->taken || !S_ISSOCK(c->st.st_mode) || !c->remote.len ||
	    (c->type.domain != AF_INET && c->type.domain != AF_INET6) ||
	    c->type.type != SOCK_STREAM)
		return false;
	vec_for_each(other, &h->v)
		if (other != c && other->st.st_ino == c->st.st_ino &&
		    S_ISSOCK(other->st.st_mode) && (other->taken || other < c))
			return false;
	return true;
}

struct err *handover_note_rest(struct restoring *all)
{
	size_t n = 0;

	if (!all->handed)
		return NULL;
	vec_for_each(c, &all->handed->v)
		n += is_lost(all->handed, c);
	return n ? restoring_note(
			   all,
			   "%zu connections that process %d has and the checkpoint does "
			   "not know are closed with it",
			   n, all->handover->pid)
		 : NULL;
}

void handover_free(struct handover_fds *h)
{
	if (!h)
		return;
	vec_for_each(c, &h->v)
		if (c->fd >= 0)
			close(c->fd);
	vec_free(&h->v);
	free(h->handed);
	free(h);
}
