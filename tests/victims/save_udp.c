// SPDX-License-Identifier: LGPL-2.1-or-later
// UDP sockets with datagrams that wait, of both families, connected and not; a netlink socket with groups.
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "tests/victims/self.h"

static int inbox4, inbox6, sender4, sender6, link_fd, never;
static struct sockaddr_in at4, from4;
static struct sockaddr_in6 at6, from6;

static void name_of(int fd, void *addr, socklen_t len)
{
	must(getsockname(fd, addr, &len));
}

static void fill(void)
{
	must(sendto(sender4, "first", 5, 0, (void *)&at4, sizeof(at4)));
	must(sendto(sender4, "", 0, 0, (void *)&at4, sizeof(at4)));
	must(sendto(sender4, "third", 5, 0, (void *)&at4, sizeof(at4)));
	must(send(sender6, "six", 3, 0));
}

static void from(int fd, const char *text, in_port_t port)
{
	struct sockaddr_in6 a = {0};
	socklen_t len = sizeof(a);
	char buf[64];
	ssize_t n = recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT, (void *)&a, &len);

	expect(n == (ssize_t)strlen(text) && !memcmp(buf, text, (size_t)n),
	       "%zd bytes and not \"%s\"", n, text);
	expect(n < 0 || a.sin6_port == port, "\"%s\" is from port %d, not %d", text,
	       ntohs(a.sin6_port), ntohs(port));
}

static void check(void)
{
	struct sockaddr_in6 a6;
	struct sockaddr_in a4;
	struct sockaddr_nl nl = {0};
	int value = 0;
	socklen_t len = sizeof(value);

	from(inbox4, "first", from4.sin_port);
	from(inbox4, "", from4.sin_port);
	from(inbox4, "third", from4.sin_port);
	from(inbox6, "six", from6.sin6_port);
	name_of(inbox4, &a4, sizeof(a4));
	expect(!memcmp(&a4, &at4, sizeof(a4)), "another IPv4 address");
	name_of(inbox6, &a6, sizeof(a6));
	expect(!memcmp(&a6, &at6, sizeof(a6)), "another IPv6 address");
	getsockopt(inbox4, SOL_SOCKET, SO_BROADCAST, &value, &len);
	expect(value == 1, "BROADCAST");
	len = sizeof(value);
	getsockopt(inbox4, SOL_IP, IP_PKTINFO, &value, &len);
	expect(value == 1, "PKTINFO");
	name_of(link_fd, &nl, sizeof(nl));
	expect(nl.nl_groups == (RTMGRP_LINK | RTMGRP_IPV4_IFADDR), "netlink groups %x",
	       nl.nl_groups);
	len = sizeof(a4);
	expect(getpeername(never, (void *)&a4, &len) < 0, "a socket is connected");
	name_of(never, &a4, sizeof(a4));
	expect(a4.sin_port == 0, "a socket has a port");
	fill();
}

int main(void)
{
	struct sockaddr_nl nl = {.nl_family = AF_NETLINK,
				 .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR};
	int one = 1;

	at4 = (struct sockaddr_in){.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	at6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	inbox4 = must(socket(AF_INET, SOCK_DGRAM, 0));
	must(setsockopt(inbox4, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)));
	must(setsockopt(inbox4, SOL_IP, IP_PKTINFO, &one, sizeof(one)));
	must(bind(inbox4, (void *)&at4, sizeof(at4)));
	name_of(inbox4, &at4, sizeof(at4));
	inbox6 = must(socket(AF_INET6, SOCK_DGRAM, 0));
	must(bind(inbox6, (void *)&at6, sizeof(at6)));
	name_of(inbox6, &at6, sizeof(at6));
	sender4 = must(socket(AF_INET, SOCK_DGRAM, 0));
	sender6 = must(socket(AF_INET6, SOCK_DGRAM, 0));
	must(connect(sender6, (void *)&at6, sizeof(at6)));
	link_fd = must(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	must(bind(link_fd, (void *)&nl, sizeof(nl)));
	never = must(socket(AF_INET, SOCK_DGRAM, 0));
	from4 = (struct sockaddr_in){.sin_family = AF_INET,
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	must(bind(sender4, (void *)&from4, sizeof(from4)));
	name_of(sender4, &from4, sizeof(from4));
	name_of(sender6, &from6, sizeof(from6));
	fill();
	self_run(check);
}
