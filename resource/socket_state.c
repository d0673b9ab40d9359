// SPDX-License-Identifier: LGPL-2.1-or-later
// The memory of a saving and a restoring for sockets; see socket_state.h.
#include "resource/socket_state.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int by_inode(const void *a, const void *b)
{
	const struct os_unix_socket *x = a, *y = b;

	return (x->inode > y->inode) - (x->inode < y->inode);
}

struct err *socket_saving_get(struct saving *all, const struct open_file *f,
			      struct socket_saving **ret)
{
	struct socket_saving *s = all->sockets;

	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return err_nomem();
		int r = os_unix_sockets(f->s->process->pid, &s->sockets, &s->n);
		if (r < 0) {
			free(s);
			return err_sys(r, "cannot list the UNIX sockets of this machine");
		}
		if (s->n)
			qsort(s->sockets, s->n, sizeof(*s->sockets), by_inode);
		all->sockets = s;
	}
	*ret = s;
	return NULL;
}

void socket_saving_free(struct socket_saving *s)
{
	if (!s)
		return;
	free(s->sockets);
	free(s->objects);
	free(s);
}

struct err *socket_restoring_get(struct restoring *all, struct socket_restoring **ret)
{
	if (!all->sockets)
		all->sockets = calloc(1, sizeof(*all->sockets));
	*ret = all->sockets;
	return *ret ? NULL : err_nomem();
}

void socket_restoring_free(struct socket_restoring *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_far; i++)
		if (s->far[i].fd >= 0)
			close(s->far[i].fd);
	vec_free(&s->revived);
	free(s->ends);
	free(s->far);
	free(s->unix_ends);
	free(s);
}
