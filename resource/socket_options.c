// SPDX-License-Identifier: LGPL-2.1-or-later
// Socket options: the table, saving those that differ from a new socket's, setting them again.
#include <asm/socket.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/icmp.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/time.h>

#include "os/uapi.h"
#include "resource/socket_state.h"

enum scope { // which sockets have the option
	S_TCP = 1 << 0,
	S_UDP = 1 << 1,
	S_UNIX = 1 << 2,
	S_NETLINK = 1 << 3,
	S_RAW = 1 << 4,
	S_V6 = 1 << 5, // of these only AF_INET6
	S_INET = S_TCP | S_UDP | S_RAW,
	S_ALL = S_INET | S_UNIX | S_NETLINK,
};

enum form { F_INT, F_TEXT, F_BYTES };

struct option_row {
	const char *name;
	int level, option;
	int scope;
	enum form form;
	enum option_phase phase;
};

#define INT(name, level, scope, phase)                  \
	{                                               \
#name, level, name, scope, F_INT, phase \
	}
#define BYTES(name, level, scope, phase)                  \
	{                                                 \
#name, level, name, scope, F_BYTES, phase \
	}

// The kernel's names, which are also the image's.
static const struct option_row rows[] = {
	INT(SO_REUSEADDR, SOL_SOCKET, S_INET, OPTIONS_FIRST),
	INT(SO_REUSEPORT, SOL_SOCKET, S_INET, OPTIONS_FIRST),
	INT(SO_MARK, SOL_SOCKET, S_INET, OPTIONS_FIRST),
	{"SO_BINDTODEVICE", SOL_SOCKET, SO_BINDTODEVICE, S_INET, F_TEXT, OPTIONS_FIRST},
	INT(IP_FREEBIND, SOL_IP, S_INET, OPTIONS_FIRST),
	INT(IP_TRANSPARENT, SOL_IP, S_INET, OPTIONS_FIRST),
	INT(IP_BIND_ADDRESS_NO_PORT, SOL_IP, S_INET, OPTIONS_FIRST),
	INT(IPV6_V6ONLY, SOL_IPV6, S_INET | S_V6, OPTIONS_FIRST),
	INT(IPV6_TRANSPARENT, SOL_IPV6, S_INET | S_V6, OPTIONS_FIRST),
	INT(IPV6_FREEBIND, SOL_IPV6, S_INET | S_V6, OPTIONS_FIRST),
	INT(TCP_FASTOPEN_CONNECT, SOL_TCP, S_TCP, OPTIONS_FIRST),

	INT(SO_KEEPALIVE, SOL_SOCKET, S_INET, OPTIONS_LAST),
	INT(SO_OOBINLINE, SOL_SOCKET, S_INET, OPTIONS_LAST),
	INT(SO_BROADCAST, SOL_SOCKET, S_INET, OPTIONS_LAST),
	INT(SO_DONTROUTE, SOL_SOCKET, S_INET, OPTIONS_LAST),
	INT(SO_NO_CHECK, SOL_SOCKET, S_UDP, OPTIONS_LAST),
	BYTES(SO_LINGER, SOL_SOCKET, S_INET | S_UNIX, OPTIONS_LAST),
	INT(SO_RCVLOWAT, SOL_SOCKET, S_ALL, OPTIONS_LAST),
	BYTES(SO_RCVTIMEO, SOL_SOCKET, S_ALL, OPTIONS_LAST),
	BYTES(SO_SNDTIMEO, SOL_SOCKET, S_ALL, OPTIONS_LAST),
	INT(SO_PASSCRED, SOL_SOCKET, S_UNIX | S_NETLINK, OPTIONS_LAST),
	INT(SO_PASSSEC, SOL_SOCKET, S_UNIX | S_NETLINK, OPTIONS_LAST),
	{"SO_PASSPIDFD", SOL_SOCKET, UAPI_SO_PASSPIDFD, S_UNIX, F_INT, OPTIONS_LAST},
	{"SO_PASSRIGHTS", SOL_SOCKET, UAPI_SO_PASSRIGHTS, S_UNIX, F_INT, OPTIONS_LAST},
	INT(SO_PEEK_OFF, SOL_SOCKET, S_TCP | S_UDP | S_UNIX, OPTIONS_LAST),
	INT(SO_TIMESTAMP, SOL_SOCKET, S_ALL, OPTIONS_LAST),
	INT(SO_TIMESTAMPNS, SOL_SOCKET, S_ALL, OPTIONS_LAST),
	INT(SO_TIMESTAMPING, SOL_SOCKET, S_ALL, OPTIONS_LAST),
	INT(SO_RXQ_OVFL, SOL_SOCKET, S_ALL, OPTIONS_LAST),
	INT(SO_SELECT_ERR_QUEUE, SOL_SOCKET, S_INET, OPTIONS_LAST),
	INT(SO_BUSY_POLL, SOL_SOCKET, S_INET, OPTIONS_LAST),
	INT(SO_PREFER_BUSY_POLL, SOL_SOCKET, S_INET, OPTIONS_LAST),
	INT(SO_MAX_PACING_RATE, SOL_SOCKET, S_INET, OPTIONS_LAST),
	INT(SO_ZEROCOPY, SOL_SOCKET, S_INET, OPTIONS_LAST),

	INT(IP_TOS, SOL_IP, S_INET, OPTIONS_LAST), // sets SO_PRIORITY as well
	INT(IPV6_TCLASS, SOL_IPV6, S_INET | S_V6, OPTIONS_LAST),
	INT(SO_PRIORITY, SOL_SOCKET, S_INET, OPTIONS_LAST),
	INT(IP_TTL, SOL_IP, S_INET, OPTIONS_LAST),
	INT(IP_MINTTL, SOL_IP, S_INET, OPTIONS_LAST),
	INT(IP_MTU_DISCOVER, SOL_IP, S_INET, OPTIONS_LAST),
	INT(IP_RECVERR, SOL_IP, S_INET, OPTIONS_LAST),
	INT(IP_PKTINFO, SOL_IP, S_UDP | S_RAW, OPTIONS_LAST),
	INT(IP_RECVTTL, SOL_IP, S_UDP | S_RAW, OPTIONS_LAST),
	INT(IP_RECVTOS, SOL_IP, S_INET, OPTIONS_LAST),
	INT(IP_RECVOPTS, SOL_IP, S_UDP | S_RAW, OPTIONS_LAST),
	INT(IP_RETOPTS, SOL_IP, S_UDP | S_RAW, OPTIONS_LAST),
	INT(IP_RECVORIGDSTADDR, SOL_IP, S_UDP | S_RAW, OPTIONS_LAST),
	INT(IP_RECVFRAGSIZE, SOL_IP, S_UDP | S_RAW, OPTIONS_LAST),
	INT(IP_MULTICAST_TTL, SOL_IP, S_UDP | S_RAW, OPTIONS_LAST),
	INT(IP_MULTICAST_LOOP, SOL_IP, S_UDP | S_RAW, OPTIONS_LAST),
	INT(IP_MULTICAST_ALL, SOL_IP, S_UDP | S_RAW, OPTIONS_LAST),
	BYTES(IP_MULTICAST_IF, SOL_IP, S_UDP | S_RAW, OPTIONS_LAST),
	INT(IP_UNICAST_IF, SOL_IP, S_UDP | S_RAW, OPTIONS_LAST),
	INT(IP_HDRINCL, SOL_IP, S_RAW, OPTIONS_LAST),
	BYTES(ICMP_FILTER, SOL_RAW, S_RAW, OPTIONS_LAST),
	INT(IPV6_UNICAST_HOPS, SOL_IPV6, S_INET | S_V6, OPTIONS_LAST),
	INT(IPV6_MULTICAST_HOPS, SOL_IPV6, S_UDP | S_RAW | S_V6, OPTIONS_LAST),
	INT(IPV6_MULTICAST_LOOP, SOL_IPV6, S_UDP | S_RAW | S_V6, OPTIONS_LAST),
	INT(IPV6_MULTICAST_IF, SOL_IPV6, S_UDP | S_RAW | S_V6, OPTIONS_LAST),
	INT(IPV6_MTU_DISCOVER, SOL_IPV6, S_INET | S_V6, OPTIONS_LAST),
	INT(IPV6_RECVERR, SOL_IPV6, S_INET | S_V6, OPTIONS_LAST),
	INT(IPV6_RECVPKTINFO, SOL_IPV6, S_INET | S_V6, OPTIONS_LAST),
	INT(IPV6_RECVHOPLIMIT, SOL_IPV6, S_INET | S_V6, OPTIONS_LAST),
	INT(IPV6_RECVTCLASS, SOL_IPV6, S_INET | S_V6, OPTIONS_LAST),
	INT(IPV6_DONTFRAG, SOL_IPV6, S_INET | S_V6, OPTIONS_LAST),
	INT(IPV6_MINHOPCOUNT, SOL_IPV6, S_INET | S_V6, OPTIONS_LAST),
	INT(IPV6_AUTOFLOWLABEL, SOL_IPV6, S_INET | S_V6, OPTIONS_LAST),
	INT(IPV6_UNICAST_IF, SOL_IPV6, S_UDP | S_RAW | S_V6, OPTIONS_LAST),

	INT(TCP_NODELAY, SOL_TCP, S_TCP, OPTIONS_LAST),
	INT(TCP_CORK, SOL_TCP, S_TCP, OPTIONS_LAST),
	INT(TCP_KEEPIDLE, SOL_TCP, S_TCP, OPTIONS_LAST),
	INT(TCP_KEEPINTVL, SOL_TCP, S_TCP, OPTIONS_LAST),
	INT(TCP_KEEPCNT, SOL_TCP, S_TCP, OPTIONS_LAST),
	INT(TCP_SYNCNT, SOL_TCP, S_TCP, OPTIONS_LAST),
	INT(TCP_LINGER2, SOL_TCP, S_TCP, OPTIONS_LAST),
	INT(TCP_DEFER_ACCEPT, SOL_TCP, S_TCP, OPTIONS_LAST),
	INT(TCP_USER_TIMEOUT, SOL_TCP, S_TCP, OPTIONS_LAST),
	INT(TCP_NOTSENT_LOWAT, SOL_TCP, S_TCP, OPTIONS_LAST),
	INT(TCP_FASTOPEN_NO_COOKIE, SOL_TCP, S_TCP, OPTIONS_LAST),
	INT(TCP_THIN_LINEAR_TIMEOUTS, SOL_TCP, S_TCP, OPTIONS_LAST),
	INT(TCP_SAVE_SYN, SOL_TCP, S_TCP, OPTIONS_LAST),
	INT(TCP_INQ, SOL_TCP, S_TCP, OPTIONS_LAST),
	{"TCP_CONGESTION", SOL_TCP, TCP_CONGESTION, S_TCP, F_TEXT, OPTIONS_LAST},

	INT(UDP_CORK, SOL_UDP, S_UDP, OPTIONS_LAST),
	{"UDP_ENCAP", SOL_UDP, UDP_ENCAP, S_UDP, F_INT, OPTIONS_LAST},
	{"UDP_NO_CHECK6_TX", SOL_UDP, UDP_NO_CHECK6_TX, S_UDP, F_INT, OPTIONS_LAST},
	{"UDP_NO_CHECK6_RX", SOL_UDP, UDP_NO_CHECK6_RX, S_UDP, F_INT, OPTIONS_LAST},
	{"UDP_SEGMENT", SOL_UDP, UDP_SEGMENT, S_UDP, F_INT, OPTIONS_LAST},
	{"UDP_GRO", SOL_UDP, UDP_GRO, S_UDP, F_INT, OPTIONS_LAST},

	INT(NETLINK_PKTINFO, SOL_NETLINK, S_NETLINK, OPTIONS_LAST),
	INT(NETLINK_BROADCAST_ERROR, SOL_NETLINK, S_NETLINK, OPTIONS_LAST),
	INT(NETLINK_NO_ENOBUFS, SOL_NETLINK, S_NETLINK, OPTIONS_LAST),
	INT(NETLINK_CAP_ACK, SOL_NETLINK, S_NETLINK, OPTIONS_LAST),
	INT(NETLINK_EXT_ACK, SOL_NETLINK, S_NETLINK, OPTIONS_LAST),
	INT(NETLINK_GET_STRICT_CHK, SOL_NETLINK, S_NETLINK, OPTIONS_LAST),
};

enum { VALUE_MAX = 64, FILTER_MAX = BPF_MAXINSNS };

static bool applies(const struct option_row *r, const struct socket_type *t)
{
	int has = t->domain == AF_UNIX	    ? S_UNIX
		  : t->domain == AF_NETLINK ? S_NETLINK
		  : t->type == SOCK_STREAM  ? S_TCP
		  : t->protocol == IPPROTO_UDP || t->protocol == IPPROTO_UDPLITE ? S_UDP
										 : S_RAW;

	return (r->scope & has) && (!(r->scope & S_V6) || t->domain == AF_INET6);
}

struct value {
	uint8_t bytes[VALUE_MAX];
	socklen_t len;
};

static bool get(int fd, const struct option_row *r, struct value *v)
{
	memset(v->bytes, 0, sizeof(v->bytes));
	v->len = r->form == F_INT ? sizeof(int) : VALUE_MAX - 1;
	if (getsockopt(fd, r->level, r->option, v->bytes, &v->len) < 0)
		return false;
	if (r->form == F_TEXT)
		v->len = (socklen_t)strnlen((const char *)v->bytes, v->len);
	return r->form != F_INT || v->len == sizeof(int);
}

int socket_int(int fd, int level, int option, int otherwise)
{
	int value = otherwise;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, option, &value, &len) < 0 || len != sizeof(value)
		       ? otherwise
		       : value;
}

static struct err *put(json_t *options, const struct option_row *r, const struct value *v)
{
	int number;

	switch (r->form) {
	case F_INT:
		memcpy(&number, v->bytes, sizeof(number));
		return json_put_int(options, r->name, number);
	case F_TEXT:
		return json_put_text(options, r->name, (const char *)v->bytes);
	case F_BYTES:
		break;
	}
	return json_put_bytes(options, r->name, v->bytes, v->len);
}

// A classic filter comes back as it was set; of an eBPF program only the process that loaded it knows the source.
static struct err *save_filter(const struct open_file *f, int fd, json_t *object)
{
	socklen_t n = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &n) < 0)
		return errno == EACCES
			       ? open_file_refuse(f, "socket-filter",
						  "it has an eBPF program as its filter")
			       : NULL;
	if (!n)
		return NULL;
	if (n > FILTER_MAX)
		return open_file_refuse(f, "socket-filter", "its filter is too long");
	_cleanup_free_ struct sock_filter *code = calloc(n, sizeof(*code));
	if (!code)
		return err_nomem();
	if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, code, &n) < 0)
		return err_sys(errno, "cannot read the filter of a socket");
	TRY(json_put_bytes(object, "filter", code, n * sizeof(*code)));
	return json_put_bool(object, "filter_locked",
			     socket_int(fd, SOL_SOCKET, SO_LOCK_FILTER, 0) > 0);
}

// What a new socket of a type has.
struct socket_defaults {
	struct socket_type type;
	struct value values[ARRAY_SIZE(rows)]; // len 0: it has no such option
	int sndbuf, rcvbuf;
	struct socket_defaults *next;
};

void socket_defaults_free(struct socket_defaults *d)
{
	while (d) {
		struct socket_defaults *next = d->next;

		free(d);
		d = next;
	}
}

static struct err *defaults_of(struct saving *all, const struct socket_type *t,
			       const struct socket_defaults **ret)
{
	struct socket_saving *s;

	TRY(socket_saving_get(all, &s));
	for (const struct socket_defaults *d = s->defaults; d; d = d->next)
		if (!memcmp(&d->type, t, sizeof(*t))) {
			*ret = d;
			return NULL;
		}
	_cleanup_close_ int fd = socket(t->domain, t->type | SOCK_CLOEXEC, t->protocol);
	if (fd < 0)
		return err_sys(errno, "cannot make a socket to compare with");
	struct socket_defaults *d = calloc(1, sizeof(*d));
	if (!d)
		return err_nomem();
	d->type = *t;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (!applies(&rows[i], t) || !get(fd, &rows[i], &d->values[i]))
			d->values[i].len = 0;
	d->sndbuf = socket_int(fd, SOL_SOCKET, SO_SNDBUF, 0);
	d->rcvbuf = socket_int(fd, SOL_SOCKET, SO_RCVBUF, 0);
	d->next = s->defaults;
	s->defaults = d;
	*ret = d;
	return NULL;
}

// The kernel doubles what is set; sizes that nobody set are the kernel's to change.
static struct err *save_buffers(int fd, const struct socket_defaults *d, json_t *object)
{
	int lock = socket_int(fd, SOL_SOCKET, SO_BUF_LOCK, 0);
	int snd = socket_int(fd, SOL_SOCKET, SO_SNDBUF, 0);
	int rcv = socket_int(fd, SOL_SOCKET, SO_RCVBUF, 0);

	if (lock || snd != d->sndbuf)
		TRY(json_put_int(object, "sndbuf", snd));
	if (lock || rcv != d->rcvbuf)
		TRY(json_put_int(object, "rcvbuf", rcv));
	return lock ? json_put_int(object, "buf_lock", lock) : NULL;
}

struct err *socket_save_options(const struct open_file *f, const struct socket_type *t,
				int fd, json_t *object)
{
	const struct socket_defaults *d = NULL;
	json_t *options;

	TRY(defaults_of(f->s->all, t, &d));
	TRY(json_put_object(object, "options", &options));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct value *usual = &d->values[i];
		struct value v;

		if (!applies(&rows[i], t) || !get(fd, &rows[i], &v))
			continue;
		if (usual->len != v.len || memcmp(usual->bytes, v.bytes, v.len) != 0)
			TRY(put(options, &rows[i], &v));
	}
	TRY(save_buffers(fd, d, object));
	return save_filter(f, fd, object);
}

static struct err *read_value(const json_t *options, const struct option_row *r,
			      struct value *v)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	_cleanup_free_ char *text = NULL;
	size_t len;
	int number;

	memset(v->bytes, 0, sizeof(v->bytes));
	switch (r->form) {
	case F_INT:
		TRY(json_get_i32(options, r->name, INT32_MIN, INT32_MAX, &number));
		memcpy(v->bytes, &number, sizeof(number));
		v->len = sizeof(number);
		return NULL;
	case F_TEXT:
		TRY(json_get_text(options, r->name, VALUE_MAX - 1, &text));
		v->len = (socklen_t)strlen(text) + 1;
		memcpy(v->bytes, text, v->len);
		return NULL;
	case F_BYTES:
		break;
	}
	TRY(json_get_bytes(options, r->name, VALUE_MAX, &bytes, &len));
	memcpy(v->bytes, bytes, len);
	v->len = (socklen_t)len;
	return NULL;
}

static struct err *set_buffer(const json_t *object, const char *name, int fd, int option,
			      int forced)
{
	int64_t size;

	TRY(json_opt_int(object, name, 0, INT32_MAX, 0, &size));
	int half = (int)(size / 2);
	// Within the system's limit anybody may set it, beyond it takes CAP_NET_ADMIN; less is what others would get, too.
	if (size && setsockopt(fd, SOL_SOCKET, forced, &half, sizeof(half)) < 0)
		(void)!setsockopt(fd, SOL_SOCKET, option, &half, sizeof(half));
	return NULL;
}

static struct err *set_filter(const json_t *object, int fd)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	bool locked;
	size_t len;

	if (!json_has(object, "filter"))
		return NULL;
	TRY(json_get_bytes(object, "filter", FILTER_MAX * sizeof(struct sock_filter),
			   &bytes, &len));
	TRY(json_opt_bool(object, "filter_locked", false, &locked));
	if (len % sizeof(struct sock_filter))
		return err_new(ERR_CORRUPT,
			       "member 'filter' is no whole number of instructions");
	struct sock_fprog prog = {(unsigned short)(len / sizeof(struct sock_filter)),
				  (struct sock_filter *)(void *)bytes};
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0)
		return err_new(ERR_CORRUPT, "the kernel does not take member 'filter'");
	int one = 1;
	if (locked && setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &one, sizeof(one)) < 0)
		return err_sys(errno, "cannot lock the filter of a socket");
	return NULL;
}

static struct err *set_last(const json_t *object, int fd)
{
	int64_t lock;

	TRY(json_opt_int(object, "buf_lock", 0, 3, 0, &lock));
	int value = (int)lock;
	// Setting the sizes has locked them.
	(void)!setsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &value, sizeof(value));
	return set_filter(object, fd);
}

struct err *socket_set_options(struct restoring *all, size_t index, const json_t *object,
			       const struct socket_type *t, int fd,
			       enum option_phase phase)
{
	const json_t *options;

	TRY(json_opt_object(object, "options", &options));
	if (phase == OPTIONS_FIRST) { // a queue that is filled needs its room
		TRY(set_buffer(object, "sndbuf", fd, SO_SNDBUF, SO_SNDBUFFORCE));
		TRY(set_buffer(object, "rcvbuf", fd, SO_RCVBUF, SO_RCVBUFFORCE));
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct option_row *r = &rows[i];
		struct value v;

		if (r->phase != phase || !json_has(options, r->name) || !applies(r, t))
			continue;
		TRY(read_value(options, r, &v));
		if (setsockopt(fd, r->level, r->option, v.bytes, v.len) < 0)
			TRY(restoring_note(
				all, "socket (object %zu): option %s is not set: %s",
				index, r->name, strerror(errno)));
	}
	return phase == OPTIONS_LAST ? set_last(object, fd) : NULL;
}
