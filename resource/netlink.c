// SPDX-License-Identifier: LGPL-2.1-or-later
// Netlink sockets: protocol, port, groups. Messages that wait are lost as on an overrun, which the reader of such a socket
// has to stand anyway.
#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <string.h>

#include "resource/socket.h"

enum { GROUP_WORDS = 128 };

static bool fits(const struct socket_type *t)
{
	return t->domain == AF_NETLINK && (t->type == SOCK_RAW || t->type == SOCK_DGRAM);
}

static bool recognises(const struct open_file *f)
{
	struct socket_type t;

	return socket_type_of(f, &t) && fits(&t);
}

static struct err *save_groups(int fd, json_t *object)
{
	uint32_t words[GROUP_WORDS] = {0};
	socklen_t len = sizeof(words);
	json_t *groups;

	if (getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, words, &len) < 0)
		return NULL;
	TRY(json_put_array(object, "groups", &groups));
	for (size_t i = 0; i < sizeof(words) * 8 && i < len * 8; i++)
		if (words[i / 32] >> i % 32 & 1)
			TRY(json_add(groups, json_integer((json_int_t)i + 1)));
	return NULL;
}

static struct err *save(const struct open_file *f, json_t *object)
{
	_cleanup_close_ int fd = -1;

	TRY(open_file_here(f, &fd));
	TRY(socket_save_common(f, fd, object));
	TRY(save_groups(fd, object));
	struct pollfd p = {.fd = fd, .events = POLLIN};
	if (poll(&p, 1, 0) == 1 && (p.revents & POLLIN))
		return saving_note(f->s->all,
				   "descriptor %d (netlink) of process %d: messages that "
				   "wait to be read are not saved",
				   f->fd, f->pid);
	return NULL;
}

static struct err *join_groups(struct restoring *all, size_t index, const json_t *object,
			       int fd)
{
	const json_t *groups;

	TRY(json_opt_array(object, "groups", GROUP_WORDS * 32, &groups));
	for (size_t i = 0; i < json_array_size(groups); i++) {
		int64_t group;

		TRY(json_at(json_item_int(groups, i, 1, GROUP_WORDS * 32, &group),
			    "groups", i));
		int n = (int)group;
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &n, sizeof(n)) < 0)
			TRY(restoring_note(all,
					   "netlink socket (object %zu) does not get "
					   "messages of group %d: %s",
					   index, n, strerror(errno)));
	}
	return NULL;
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
	struct sockaddr_nl *nl = (void *)&local.sa;
	nl->nl_groups = 0; // joined below, one by one
	if (local.len >= sizeof(*nl) && nl->nl_pid &&
	    bind(fd, (const void *)nl, sizeof(*nl)) < 0) {
		TRY(restoring_note(
			all,
			"netlink socket (object %zu): port %u is taken, it gets "
			"another",
			index, nl->nl_pid));
		nl->nl_pid = 0;
		if (bind(fd, (const void *)nl, sizeof(*nl)) < 0)
			return err_sys(errno, "cannot bind netlink socket (object %zu)",
				       index);
	}
	const struct sockaddr_nl *to = (const void *)&remote.sa;
	if (remote.len >= sizeof(*to) && (to->nl_pid || to->nl_groups) &&
	    connect(fd, (const void *)to, sizeof(*to)) < 0)
		return err_sys(errno, "cannot connect netlink socket (object %zu)", index);
	TRY(join_groups(all, index, object, fd));
	TRY(socket_set_options(all, index, object, &t, fd, OPTIONS_FIRST));
	TRY(socket_set_options(all, index, object, &t, fd, OPTIONS_LAST));
	all->files[index] = take_fd(&fd);
	return NULL;
}

const struct file_kind kind_netlink = {
	.name = "netlink",
	.recognises = recognises,
	.save = save,
	.make = make,
};
