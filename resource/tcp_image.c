// SPDX-License-Identifier: LGPL-2.1-or-later
// Reading the member "tcp", and finding the two ends of one connection; see tcp_image.h.
#include "resource/tcp_image.h"

#include <netinet/in.h>
#include <string.h>

#include "resource/socket_state.h"

static struct err *get_queue(const json_t *tcp, const char *name,
			     struct tcp_image_queue *ret, const json_t **o)
{
	int64_t seq;

	TRY(json_get_object(tcp, name, o));
	TRY(err_wrap(json_get_int(*o, "seq", 0, UINT32_MAX, &seq), "%s", name));
	ret->seq = (uint32_t)seq;
	return err_wrap(json_get_bytes(*o, "data", TCP_QUEUE_MAX, &ret->data, &ret->len),
			"%s", name);
}

static struct err *get_u32(const json_t *o, const char *name, uint32_t *ret)
{
	int64_t value;

	TRY(json_get_int(o, name, 0, UINT32_MAX, &value));
	*ret = (uint32_t)value;
	return NULL;
}

static struct err *get_window(const json_t *tcp, struct tcp_image *ret)
{
	struct tcp_repair_window *w = &ret->window;
	const json_t *o;

	TRY(json_opt_object(tcp, "window", &o));
	if (!o)
		return NULL;
	ret->has_window = true;
	TRY(get_u32(o, "snd_wl1", &w->snd_wl1));
	TRY(get_u32(o, "snd_wnd", &w->snd_wnd));
	TRY(get_u32(o, "max_window", &w->max_window));
	TRY(get_u32(o, "rcv_wnd", &w->rcv_wnd));
	return get_u32(o, "rcv_wup", &w->rcv_wup);
}

static struct err *get_all(const json_t *tcp, struct tcp_image *ret)
{
	enum { WSCALE_MAX = 14 };
	const json_t *in, *out;
	int64_t unsent;
	int mss;

	TRY(json_get_i32(tcp, "state", TCP_ESTABLISHED, TCP_CLOSING, &ret->state));
	TRY(json_get_i32(tcp, "mss", 0, 65535, &mss));
	ret->mss = (uint32_t)mss;
	TRY(json_get_bool(tcp, "sack", &ret->sack));
	ret->wscale = json_has(tcp, "snd_wscale");
	TRY(json_opt_i32(tcp, "snd_wscale", 0, WSCALE_MAX, 0, &ret->snd_wscale));
	TRY(json_opt_i32(tcp, "rcv_wscale", 0, WSCALE_MAX, 0, &ret->rcv_wscale));
	ret->has_timestamp = json_has(tcp, "timestamp");
	if (ret->has_timestamp)
		TRY(get_u32(tcp, "timestamp", &ret->timestamp));
	TRY(json_opt_bool(tcp, "no_more_in", false, &ret->no_more_in));
	TRY(get_queue(tcp, "in", &ret->in, &in));
	TRY(get_queue(tcp, "out", &ret->out, &out));
	TRY(json_opt_int(out, "unsent", 0, (int64_t)ret->out.len, 0, &unsent));
	ret->unsent = (size_t)unsent;
	return get_window(tcp, ret);
}

struct err *tcp_image_get(const json_t *object, struct tcp_image *ret)
{
	const json_t *tcp;

	TRY(json_get_object(object, "tcp", &tcp));
	return err_wrap(get_all(tcp, ret), "tcp");
}

void tcp_image_deinit(struct tcp_image *t)
{
	free(t->in.data);
	free(t->out.data);
}

uint32_t tcp_fin_sent(const struct tcp_image *t)
{
	switch (t->state) {
	case TCP_FIN_WAIT1:
	case TCP_FIN_WAIT2:
	case TCP_CLOSING:
	case TCP_LAST_ACK:
		return 1;
	default:
		return 0;
	}
}

// One form for both families: a client's IPv4 socket and its server's IPv6 socket meet.
static void end_key(const struct socket_addr *a, uint8_t key[18])
{
	const struct sockaddr_in *in = (const void *)&a->sa;
	const struct sockaddr_in6 *in6 = (const void *)&a->sa;

	memset(key, 0, 18);
	if (a->sa.ss_family == AF_INET) {
		key[10] = key[11] = 0xff;
		memcpy(key + 12, &in->sin_addr, 4);
	} else {
		memcpy(key, &in6->sin6_addr, 16);
	}
	memcpy(key + 16, &in->sin_port, 2);
}

static int by_addresses(const void *a, const void *b)
{
	const struct tcp_end *x = a, *y = b;
	int r = memcmp(x->local, y->local, sizeof(x->local));

	return r ? r : memcmp(x->remote, y->remote, sizeof(x->remote));
}

static struct err *get_end(const json_t *object, size_t index, bool *is,
			   struct tcp_end *ret)
{
	const char *kind, *state = "";
	struct socket_addr local, remote;
	int domain;

	TRY(json_get_string(object, "kind", &kind));
	TRY(json_opt_string(object, "state", "", &state));
	*is = !strcmp(kind, "tcp") && !strcmp(state, "connected");
	if (!*is)
		return NULL;
	TRY(json_get_i32(object, "domain", 0, INT16_MAX, &domain));
	if (domain != AF_INET && domain != AF_INET6)
		return restoring_bad(index, object, "domain is not of this kind");
	TRY(socket_get_addr(object, "local", domain, &local));
	TRY(socket_get_addr(object, "remote", domain, &remote));
	if (!local.len || !remote.len)
		return restoring_bad(index, object, "a connection without addresses");
	end_key(&local, ret->local);
	end_key(&remote, ret->remote);
	ret->index = index;
	return NULL;
}

static struct err *read_ends(struct restoring *all, struct socket_restoring *s)
{
	s->ends = calloc(all->n_files + 1, sizeof(*s->ends));
	if (!s->ends)
		return err_nomem();
	for (size_t i = 0; i < all->n_files; i++) {
		bool is;

		TRY(get_end(restoring_object(all, i), i, &is, &s->ends[s->n_ends]));
		s->n_ends += is;
	}
	if (s->n_ends)
		qsort(s->ends, s->n_ends, sizeof(*s->ends), by_addresses);
	return NULL;
}

struct err *tcp_other_end(struct restoring *all, size_t index, const json_t *object,
			  bool *ret)
{
	struct socket_restoring *s;
	struct tcp_end mine, other;
	bool is;

	TRY(socket_restoring_get(all, &s));
	if (!s->ends)
		TRY(read_ends(all, s));
	TRY(get_end(object, index, &is, &mine));
	if (!is)
		return restoring_bad(index, object, "it is no connection");
	memcpy(other.local, mine.remote, sizeof(other.local));
	memcpy(other.remote, mine.local, sizeof(other.remote));
	*ret = s->n_ends &&
	       bsearch(&other, s->ends, s->n_ends, sizeof(*s->ends), by_addresses);
	return NULL;
}
