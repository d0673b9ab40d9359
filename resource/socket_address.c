// SPDX-License-Identifier: LGPL-2.1-or-later
// Addresses of sockets; see socket.h.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "resource/socket.h"

static void unix_text(const struct sockaddr_un *un, socklen_t len, char *buf, size_t size)
{
	size_t n = len - offsetof(struct sockaddr_un, sun_path), at = 0;
	bool abstract = !un->sun_path[0];

	if (n > sizeof(un->sun_path))
		n = sizeof(un->sun_path);
	if (!abstract)
		n = strnlen(un->sun_path, n);
	for (size_t i = 0; i < n && at + 1 < size; i++) {
		char c = un->sun_path[i];

		buf[at++] = (char)(abstract && !i ? '@' : c >= 32 && c < 127 ? c : '?');
	}
	buf[at] = 0;
}

void socket_addr_text(const struct socket_addr *a, char *buf, size_t size)
{
	char ip[INET6_ADDRSTRLEN] = "?";

	*buf = 0;
	switch (a->len ? a->sa.ss_family : AF_UNSPEC) {
	case AF_INET: {
		const struct sockaddr_in *in = (const void *)&a->sa;

		inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip));
		snprintf(buf, size, "%s:%u", ip, ntohs(in->sin_port));
		break;
	}
	case AF_INET6: {
		const struct sockaddr_in6 *in = (const void *)&a->sa;

		inet_ntop(AF_INET6, &in->sin6_addr, ip, sizeof(ip));
		snprintf(buf, size, "[%s]:%u", ip, ntohs(in->sin6_port));
		break;
	}
	case AF_UNIX:
		if (a->len > offsetof(struct sockaddr_un, sun_path))
			unix_text((const void *)&a->sa, a->len, buf, size);
		break;
	default:
		break;
	}
}

bool socket_addr_equal(const struct socket_addr *a, const struct socket_addr *b)
{
	return a->len == b->len && !memcmp(&a->sa, &b->sa, a->len);
}

void socket_local(int fd, struct socket_addr *ret)
{
	*ret = (struct socket_addr){.len = sizeof(ret->sa)};
	if (getsockname(fd, (struct sockaddr *)&ret->sa, &ret->len) < 0)
		ret->len = 0;
}

void socket_remote(int fd, struct socket_addr *ret)
{
	*ret = (struct socket_addr){.len = sizeof(ret->sa)};
	if (getpeername(fd, (struct sockaddr *)&ret->sa, &ret->len) < 0)
		ret->len = 0;
}

struct err *socket_put_addr(json_t *object, const char *name, const struct socket_addr *a)
{
	char text[160];
	json_t *o;

	if (!a->len)
		return NULL;
	socket_addr_text(a, text, sizeof(text));
	TRY(json_put_object(object, name, &o));
	TRY(json_put_text(o, "text", text));
	return json_put_bytes(o, "bytes", &a->sa, a->len);
}

static socklen_t least_len(int domain)
{
	switch (domain) {
	case AF_INET:
		return sizeof(struct sockaddr_in);
	case AF_INET6:
		return sizeof(struct sockaddr_in6);
	default:
		return sizeof(sa_family_t);
	}
}

struct err *socket_get_addr(const json_t *object, const char *name, int domain,
			    struct socket_addr *ret)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	const json_t *o;
	size_t len;

	*ret = (struct socket_addr){.len = 0};
	TRY(json_opt_object(object, name, &o));
	if (!o)
		return NULL;
	TRY(err_wrap(json_get_bytes(o, "bytes", sizeof(ret->sa), &bytes, &len), "%s",
		     name));
	if (len < least_len(domain))
		return err_new(ERR_CORRUPT, "member '%s' is too short for an address",
			       name);
	memcpy(&ret->sa, bytes, len);
	ret->len = (socklen_t)len;
	if (ret->sa.ss_family != domain)
		return err_new(ERR_CORRUPT, "member '%s' is of address family %d, not %d",
			       name, ret->sa.ss_family, domain);
	return NULL;
}
