// SPDX-License-Identifier: LGPL-2.1-or-later
// TCP: listening sockets with options and both families, connections with themselves that have bytes on the way in both
// directions, half-closed ones, one that its peer has ended, and a connected and an idle socket.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "tests/victims/self.h"

enum { PAIRS = 4, BYTES = 100000 };

static int listen4, listen6, fresh, bound, ended;
static in_port_t port4, port6;
static int server[PAIRS], client[PAIRS]; // 0: both ways, 1: client sends no more, 2: server sends no more, 3: idle
static struct sockaddr_in client_is[PAIRS];

static int get(int fd, int level, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	getsockopt(fd, level, option, &value, &len);
	return value;
}

static void set(int fd, int level, int option, int value)
{
	must(setsockopt(fd, level, option, &value, sizeof(value)));
}

static in_port_t port_of(int fd)
{
	struct sockaddr_in6 a = {0};
	socklen_t len = sizeof(a);

	getsockname(fd, (struct sockaddr *)&a, &len);
	return ntohs(a.sin6_port); // at the same place in both families
}

static void make_listening(void)
{
	struct sockaddr_in a4 = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6};
	struct linger linger = {1, 7};
	struct timeval timeout = {3, 250000};

	listen4 = must(socket(AF_INET, SOCK_STREAM, 0));
	set(listen4, SOL_SOCKET, SO_REUSEADDR, 1);
	set(listen4, SOL_SOCKET, SO_REUSEPORT, 1);
	set(listen4, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(listen4, SOL_TCP, TCP_KEEPIDLE, 77);
	set(listen4, SOL_TCP, TCP_KEEPINTVL, 11);
	set(listen4, SOL_TCP, TCP_KEEPCNT, 5);
	set(listen4, SOL_TCP, TCP_NODELAY, 1);
	set(listen4, SOL_TCP, TCP_USER_TIMEOUT, 12345);
	set(listen4, SOL_SOCKET, SO_RCVBUF, 70000);
	set(listen4, SOL_IP, IP_TOS, 0x10);
	must(setsockopt(listen4, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	must(setsockopt(listen4, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)));
	must(bind(listen4, (void *)&a4, sizeof(a4)));
	must(listen(listen4, 33));
	set(listen4, SOL_TCP, TCP_FASTOPEN, 9);
	port4 = port_of(listen4);
	listen6 = must(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0));
	set(listen6, SOL_SOCKET, SO_REUSEADDR, 1);
	set(listen6, SOL_IPV6, IPV6_V6ONLY, 1);
	must(bind(listen6, (void *)&a6, sizeof(a6)));
	must(listen(listen6, 5));
	port6 = port_of(listen6);
	fresh = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	bound = must(socket(AF_INET, SOCK_STREAM, 0));
	must(bind(bound, (void *)&a4, sizeof(a4)));
}

static void check_listening(void)
{
	struct tcp_info info = {0};
	struct linger linger = {0};
	struct timeval timeout = {0};
	socklen_t len = sizeof(info);

	getsockopt(listen4, SOL_TCP, TCP_INFO, &info, &len);
	expect(info.tcpi_state == TCP_LISTEN, "listening: state %d", info.tcpi_state);
	expect(info.tcpi_sacked == 33, "backlog is %u", info.tcpi_sacked);
	expect(port_of(listen4) == port4 && port_of(listen6) == port6, "other ports");
	expect(get(listen4, SOL_SOCKET, SO_REUSEPORT) == 1, "REUSEPORT");
	expect(get(listen4, SOL_SOCKET, SO_REUSEADDR) == 1, "REUSEADDR");
	expect(get(listen4, SOL_SOCKET, SO_KEEPALIVE) == 1, "KEEPALIVE");
	expect(get(listen4, SOL_TCP, TCP_KEEPIDLE) == 77, "KEEPIDLE");
	expect(get(listen4, SOL_TCP, TCP_KEEPINTVL) == 11, "KEEPINTVL");
	expect(get(listen4, SOL_TCP, TCP_KEEPCNT) == 5, "KEEPCNT");
	expect(get(listen4, SOL_TCP, TCP_NODELAY) == 1, "NODELAY");
	expect(get(listen4, SOL_TCP, TCP_USER_TIMEOUT) == 12345, "USER_TIMEOUT");
	expect(get(listen4, SOL_TCP, TCP_FASTOPEN) == 9, "FASTOPEN is %d",
	       get(listen4, SOL_TCP, TCP_FASTOPEN));
	expect(get(listen4, SOL_IP, IP_TOS) == 0x10, "TOS");
	expect(get(listen4, SOL_SOCKET, SO_RCVBUF) == 140000, "RCVBUF is %d",
	       get(listen4, SOL_SOCKET, SO_RCVBUF));
	expect(get(listen4, SOL_SOCKET, SO_BUF_LOCK) == 2,
	       "which buffer size is fixed");
	len = sizeof(linger);
	getsockopt(listen4, SOL_SOCKET, SO_LINGER, &linger, &len);
	expect(linger.l_onoff == 1 && linger.l_linger == 7, "LINGER");
	len = sizeof(timeout);
	getsockopt(listen4, SOL_SOCKET, SO_RCVTIMEO, &timeout, &len);
	expect(timeout.tv_sec == 3, "RCVTIMEO");
	expect(get(listen6, SOL_IPV6, IPV6_V6ONLY) == 1, "V6ONLY");
	struct pollfd p = {.fd = fresh, .events = POLLRDHUP};
	poll(&p, 1, 0);
	expect(!(p.revents & POLLRDHUP) && port_of(fresh) == 0, "a new socket");
	expect(port_of(bound), "a bound socket");
}

static void connect_one(int i)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons(port4),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);

	client[i] = must(socket(AF_INET, SOCK_STREAM, 0));
	must(connect(client[i], (void *)&a, sizeof(a)));
	server[i] = must(accept(listen4, NULL, NULL));
	must(getsockname(client[i], (void *)&client_is[i], &len));
}

static char pattern(int i, size_t at)
{
	return (char)('a' + (at * 7 + (size_t)i * 3 + at / 255) % 26);
}

// As much as fits, up to BYTES; how much it was.
static size_t sent[PAIRS][2];
static void put(int i, int dir)
{
	static char buf[BYTES];

	for (size_t at = 0; at < BYTES; at++)
		buf[at] = pattern(i + dir, at);
	ssize_t n = send(dir ? server[i] : client[i], buf, BYTES, MSG_DONTWAIT);
	sent[i][dir] = n > 0 ? (size_t)n : 0;
}

static void take(int i, int dir)
{
	int fd = dir ? client[i] : server[i];
	size_t at = 0;
	char buf[4096];

	while (at < sent[i][dir]) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		size_t left = sent[i][dir] - at;

		if (poll(&p, 1, 3000) != 1)
			break;
		ssize_t n = recv(fd, buf, left < sizeof(buf) ? left : sizeof(buf), 0);
		if (n <= 0)
			break;
		for (ssize_t k = 0; k < n; k++, at++)
			expect(buf[k] == pattern(i + dir, at),
			       "connection %d, way %d: byte %zu is another", i, dir, at);
	}
	expect(at == sent[i][dir], "connection %d, way %d: %zu of %zu bytes (%s)", i, dir,
	       at, sent[i][dir], strerror(errno));
}

static void fill(void)
{
	put(0, 0);
	put(0, 1);
	put(1, 1);
	put(2, 0);
}

static bool at_end(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

static void check(void)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	char c;

	check_listening();
	for (int i = 0; i < PAIRS; i++) {
		len = sizeof(a);
		getpeername(server[i], (void *)&a, &len);
		expect(!memcmp(&a, &client_is[i], sizeof(a)), "connection %d: other peer", i);
		expect(get(server[i], SOL_SOCKET, SO_REUSEADDR) == 1,
		       "connection %d: REUSEADDR", i);
		expect(get(server[i], SOL_TCP, TCP_NODELAY) == 1, "connection %d: NODELAY", i);
		expect(get(client[i], SOL_SOCKET, SO_REUSEADDR) == 0,
		       "connection %d: REUSEADDR of the client", i);
	}
	take(0, 0);
	take(0, 1);
	take(1, 1);
	take(2, 0);
	expect(at_end(server[1]), "the client's end is not seen");
	expect(at_end(client[2]), "the server's end is not seen");
	expect(recv(ended, &c, 1, MSG_DONTWAIT) == 0, "a connection that ended reads as open");
	sent[3][0] = sent[3][1] = 0;
	put(3, 0);
	put(3, 1);
	take(3, 0);
	take(3, 1);
	fill();
	close(client[3]);
	close(server[3]);
	connect_one(3); // the listening socket serves
}

int main(void)
{
	make_listening();
	for (int i = 0; i < PAIRS; i++)
		connect_one(i);
	fill();
	must(shutdown(client[1], SHUT_WR));
	must(shutdown(server[2], SHUT_WR));
	connect_one(3);
	ended = client[3];
	close(server[3]);
	connect_one(3);
	self_run(check);
}
