// SPDX-License-Identifier: LGPL-2.1-or-later
// Datagrams through a raw socket, headers and all; see datagram.h.
#include "resource/datagram.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <string.h>

enum { DATAGRAM_MAX = 65535 - 60 - 8, MAPPED_PREFIX = 12 };

static const struct in6_addr *address(const struct socket_addr *a)
{
	return &((const struct sockaddr_in6 *)(const void *)&a->sa)->sin6_addr;
}

static in_port_t port(const struct socket_addr *a)
{
	return ((const struct sockaddr_in *)(const void *)&a->sa)->sin_port;
}

static struct in_addr address4(const struct socket_addr *a)
{
	struct in_addr in;

	if (a->sa.ss_family == AF_INET)
		return ((const struct sockaddr_in *)(const void *)&a->sa)->sin_addr;
	memcpy(&in, address(a)->s6_addr + MAPPED_PREFIX, sizeof(in));
	return in;
}

static bool is_mapped(const struct socket_addr *a)
{
	return a->sa.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(address(a));
}

static uint32_t add_words(uint32_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)p[i] << 8 | (i + 1 < len ? p[i + 1] : 0);
	return sum;
}

// RFC 8200, 8.1: never 0.
static uint16_t checksum6(const struct ip6_hdr *ip, const void *datagram, size_t len)
{
	uint32_t sum = add_words(0, &ip->ip6_src, 2 * sizeof(ip->ip6_src));

	sum = add_words(sum, datagram, len) + (uint32_t)len + IPPROTO_UDP;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	uint16_t r = (uint16_t)~sum;
	return htons(r ? r : 0xffff);
}

static size_t put_udp(uint8_t *at, const struct socket_addr *from,
		      const struct socket_addr *to, const void *data, size_t len)
{
	struct udphdr h = {.source = port(from),
			   .dest = port(to),
			   .len = htons((uint16_t)(sizeof(h) + len))};

	memcpy(at, &h, sizeof(h));
	memcpy(at + sizeof(h), data, len);
	return sizeof(h) + len;
}

static int send_packet(int domain, const struct sockaddr *to, socklen_t to_len,
		       const void *packet, size_t len)
{
	int fd = socket(domain, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW), r = 0;

	if (fd < 0)
		return -errno;
	if (sendto(fd, packet, len, MSG_DONTWAIT, to, to_len) < 0)
		r = -errno;
	close(fd);
	return r;
}

static int send4(const struct socket_addr *from, const struct socket_addr *to,
		 const void *data, size_t len)
{
	struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP};
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = address4(to)};
	_cleanup_free_ uint8_t *packet = malloc(sizeof(ip) + sizeof(struct udphdr) + len);

	if (!packet)
		return -ENOMEM;
	ip.saddr =
		address4(from).s_addr; // length and checksum are the kernel's to fill in
	ip.daddr = sa.sin_addr.s_addr;
	memcpy(packet, &ip, sizeof(ip));
	size_t n = put_udp(packet + sizeof(ip), from, to, data, len);
	return send_packet(AF_INET, (struct sockaddr *)&sa, sizeof(sa), packet,
			   sizeof(ip) + n);
}

static int send6(const struct socket_addr *from, const struct socket_addr *to,
		 const void *data, size_t len)
{
	struct ip6_hdr ip = {.ip6_src = *address(from), .ip6_dst = *address(to)};
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_addr = *address(to)};
	_cleanup_free_ uint8_t *packet = malloc(sizeof(ip) + sizeof(struct udphdr) + len);

	if (!packet)
		return -ENOMEM;
	size_t n = put_udp(packet + sizeof(ip), from, to, data, len);
	ip.ip6_flow = htonl(6u << 28);
	ip.ip6_plen = htons((uint16_t)n);
	ip.ip6_nxt = IPPROTO_UDP;
	ip.ip6_hlim = 64;
	uint16_t sum = checksum6(&ip, packet + sizeof(ip), n);
	memcpy(packet, &ip, sizeof(ip));
	memcpy(packet + sizeof(ip) + offsetof(struct udphdr, check), &sum, sizeof(sum));
	return send_packet(AF_INET6, (struct sockaddr *)&sa, sizeof(sa), packet,
			   sizeof(ip) + n);
}

int datagram_send(const struct socket_addr *from, const struct socket_addr *to,
		  const void *data, size_t len)
{
	if (len > DATAGRAM_MAX || from->sa.ss_family != to->sa.ss_family)
		return -EINVAL;
	if (from->sa.ss_family == AF_INET || is_mapped(from))
		return send4(from, to, data, len);
	return send6(from, to, data, len);
}
