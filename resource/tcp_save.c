// SPDX-License-Identifier: LGPL-2.1-or-later
// TCP connections in the image. Those of a checkpoint are read together, for each look costs a process of its own.
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>

#include "resource/socket_state.h"
#include "resource/tcp.h"
#include "resource/tcp_look.h"

struct tcp_batch {
	struct tcp_looks looks;
	size_t index[TCP_LOOKS]; // the object of each
	json_t *object[TCP_LOOKS];
};

void tcp_batch_free(struct tcp_batch *b)
{
	if (b)
		tcp_looks_deinit(&b->looks);
	free(b);
}

static struct err *put_side(json_t *tcp, const char *name, const struct tcp_side *s)
{
	json_t *o;

	TRY(json_put_object(tcp, name, &o));
	TRY(json_put_int(o, "seq", s->seq));
	TRY(json_put_bytes(o, "data", s->data, s->len));
	return s->unsent ? json_put_int(o, "unsent", s->unsent) : NULL;
}

static struct err *put_window(json_t *tcp, const struct tcp_repair_window *w)
{
	json_t *o;

	TRY(json_put_object(tcp, "window", &o));
	TRY(json_put_int(o, "snd_wl1", w->snd_wl1));
	TRY(json_put_int(o, "snd_wnd", w->snd_wnd));
	TRY(json_put_int(o, "max_window", w->max_window));
	TRY(json_put_int(o, "rcv_wnd", w->rcv_wnd));
	return json_put_int(o, "rcv_wup", w->rcv_wup);
}

static struct err *put_look(json_t *object, const struct tcp_look *l)
{
	const struct tcp_info *i = &l->info;
	json_t *tcp;

	TRY(json_put_object(object, "tcp", &tcp));
	TRY(json_put_int(tcp, "state", i->tcpi_state));
	TRY(json_put_int(tcp, "mss", l->mss));
	if (i->tcpi_options & TCPI_OPT_WSCALE) {
		TRY(json_put_int(tcp, "snd_wscale", i->tcpi_snd_wscale));
		TRY(json_put_int(tcp, "rcv_wscale", i->tcpi_rcv_wscale));
	}
	TRY(json_put_bool(tcp, "sack", i->tcpi_options & TCPI_OPT_SACK));
	if (i->tcpi_options & TCPI_OPT_TIMESTAMPS)
		TRY(json_put_int(tcp, "timestamp", l->timestamp));
	if (l->no_more_in)
		TRY(json_put_bool(tcp, "no_more_in", true));
	TRY(put_side(tcp, "in", &l->in));
	TRY(put_side(tcp, "out", &l->out));
	return l->has_window ? put_window(tcp, &l->window) : NULL;
}

static struct err *put_result(struct saving *all, const struct tcp_batch *b, size_t i)
{
	const struct open_file *f = saving_open_file(all, b->index[i]);
	const struct tcp_look *l = &b->looks.v[i];

	if (!l->result)
		return put_look(b->object[i], l);
	// Without CAP_NET_ADMIN it can be handed over, or it will be found reset.
	if (l->result == -EPERM)
		return NULL;
	return saving_note(
		all,
		"descriptor %d (tcp) of process %d: the state of the connection "
		"cannot be read: %s",
		f->fd, f->pid, strerror(-l->result));
}

struct err *tcp_save_waiting(struct saving *all)
{
	struct tcp_batch *b = all->sockets ? all->sockets->batch : NULL;
	struct err *e = NULL;

	if (!b || !b->looks.n)
		return NULL;
	int r = tcp_look(&b->looks);
	if (r < 0)
		e = err_sys(r, "cannot read the state of TCP connections");
	for (size_t i = 0; i < b->looks.n && !e; i++)
		e = put_result(all, b, i);
	tcp_looks_deinit(&b->looks);
	return e;
}

struct err *tcp_save_connection(const struct open_file *f, int fd, json_t *object)
{
	struct socket_saving *s;
	char ulp[16] = "";
	socklen_t len = sizeof(ulp);

	// What the kernel adds to the stream by itself (kTLS, MPTCP) cannot be set again.
	if (socket_int(fd, SOL_SOCKET, SO_PROTOCOL, 0) != IPPROTO_TCP ||
	    (!getsockopt(fd, SOL_TCP, TCP_ULP, ulp, &len) && len && *ulp))
		return NULL;
	TRY(socket_saving_get(f->s->all, &s));
	if (!s->batch)
		s->batch = calloc(1, sizeof(*s->batch));
	struct tcp_batch *b = s->batch;
	if (!b)
		return err_nomem();
	_cleanup_close_ int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (own < 0)
		return err_sys(errno, "cannot keep a descriptor");
	b->index[b->looks.n] = f->index;
	b->object[b->looks.n] = object;
	b->looks.v[b->looks.n++] = (struct tcp_look){.fd = take_fd(&own)};
	return b->looks.n == TCP_LOOKS ? tcp_save_waiting(f->s->all) : NULL;
}
