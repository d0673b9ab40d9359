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

struct err *socket_saving_get(struct saving *all, struct socket_saving **ret)
{
	if (!all->sockets)
		all->sockets = calloc(1, sizeof(*all->sockets));
	*ret = all->sockets;
	return *ret ? NULL : err_nomem();
}

struct err *socket_saving_unix(const struct open_file *f, struct socket_saving **ret)
{
	struct socket_saving *s;

	TRY(socket_saving_get(f->s->all, &s));
	if (!s->listed) {
		int r = os_unix_sockets(f->s->process->pid, &s->sockets, &s->n);

		if (r < 0)
			return err_sys(r, "cannot list the UNIX sockets of this machine");
		if (s->n)
			qsort(s->sockets, s->n, sizeof(*s->sockets), by_inode);
		s->listed = true;
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
	socket_defaults_free(s->defaults);
	tcp_batch_free(s->batch);
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
