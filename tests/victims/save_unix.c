// SPDX-License-Identifier: LGPL-2.1-or-later
// UNIX sockets: pairs with bytes and messages on the way, descriptors and credentials among them, half-closed and orphaned
// ones, listening ones with path and abstract name, named datagram sockets with a queue.
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/victims/self.h"

enum { BYTES = 50000 };

static int stream[2], half[2], dgram[2], packets[2], creds[2], orphan;
static int at_path, at_abstract, accepted[2], connected[2];
static int inbox, outbox;
static char abstract[32];

static socklen_t name(struct sockaddr_un *un, const char *text)
{
	*un = (struct sockaddr_un){.sun_family = AF_UNIX};
	strcpy(un->sun_path, text);
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(text));
	if (*text != '@')
		return len + 1;
	un->sun_path[0] = 0;
	return len;
}

static int bound(int type, const char *text)
{
	struct sockaddr_un un;
	socklen_t len = name(&un, text);
	int fd = must(socket(AF_UNIX, type, 0));

	must(bind(fd, (void *)&un, len));
	return fd;
}

static int connected_to(int type, const char *text)
{
	struct sockaddr_un un;
	socklen_t len = name(&un, text);
	int fd = must(socket(AF_UNIX, type, 0));

	must(connect(fd, (void *)&un, len));
	return fd;
}

static void pass(int fd, const char *text, int passed)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
	struct msghdr h = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&h);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &passed, sizeof(int));
	must(sendmsg(fd, &h, 0));
}

// What comes with the message: a descriptor or -1; *pid gets the sender's.
static ssize_t take(int fd, char *buf, size_t size, int *passed, pid_t *pid)
{
	_Alignas(struct cmsghdr) char control[256];
	struct iovec iov = {buf, size};
	struct msghdr h = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &h, MSG_DONTWAIT);

	*passed = -1;
	*pid = 0;
	for (struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&h); c;
	     c = CMSG_NXTHDR(&h, c)) {
		struct ucred u;

		if (c->cmsg_type == SCM_RIGHTS)
			memcpy(passed, CMSG_DATA(c), sizeof(int));
		if (c->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&u, CMSG_DATA(c), sizeof(u));
			*pid = u.pid;
		}
	}
	return n;
}

static void fill(void)
{
	static char big[BYTES];
	int event = must(eventfd(42, EFD_NONBLOCK)), pair[2];
	struct sockaddr_un un;
	socklen_t len;

	for (size_t i = 0; i < BYTES; i++)
		big[i] = (char)('A' + i % 23);
	must(send(stream[0], big, BYTES, 0));
	pass(stream[0], "with an eventfd", event);
	must(send(stream[0], "behind", 6, 0));
	must(send(stream[1], "the other way", 13, 0));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	must(send(pair[0], "inside", 6, 0));
	pass(dgram[0], "pair", pair[1]);
	close(pair[1]);
	close(pair[0]);
	close(event);
	must(send(dgram[0], "second", 6, 0));
	must(send(dgram[0], "", 0, 0));
	must(send(dgram[0], "fourth", 6, 0));
	must(send(packets[0], "one", 3, 0));
	must(send(packets[0], "two", 3, 0));
	must(send(creds[0], "who", 3, 0));
	must(send(accepted[0], "through the path", 16, 0));
	must(send(connected[1], "through the abstract name", 25, 0));
	len = name(&un, "inbox.sock");
	must(sendto(outbox, "letter", 6, 0, (void *)&un, len));
	must(sendto(outbox, "another", 7, 0, (void *)&un, len));
}

static void is(int fd, const char *text, const char *what)
{
	char buf[256];
	int passed;
	pid_t pid;
	ssize_t n = take(fd, buf, sizeof(buf), &passed, &pid);

	expect(n == (ssize_t)strlen(text) && !memcmp(buf, text, (size_t)n),
	       "%s: %zd bytes (%.*s) and not \"%s\"", what, n, n > 0 ? (int)n : 0, buf, text);
	if (passed >= 0)
		close(passed);
}

static void check_stream(void)
{
	static char big[BYTES];
	char buf[64];
	uint64_t count = 0;
	ssize_t n = recv(stream[1], big, BYTES, MSG_WAITALL | MSG_DONTWAIT);
	int passed;
	pid_t pid;

	expect(n == BYTES, "stream: %zd bytes", n);
	for (size_t i = 0; i < BYTES; i++)
		expect(big[i] == (char)('A' + i % 23), "stream: byte %zu", i);
	n = take(stream[1], buf, 15, &passed, &pid);
	expect(n == 15 && passed >= 0, "stream: %zd bytes with descriptor %d", n, passed);
	expect(passed >= 0 && read(passed, &count, sizeof(count)) == 8 && count == 42,
	       "the passed eventfd counts %ju", (uintmax_t)count);
	if (passed >= 0)
		close(passed);
	is(stream[1], "behind", "stream, end");
	is(stream[0], "the other way", "stream, back");
}

static void check_dgram(void)
{
	char buf[64];
	int passed;
	pid_t pid;
	ssize_t n = take(dgram[1], buf, sizeof(buf), &passed, &pid);

	expect(n == 4 && passed >= 0, "datagram with a descriptor: %zd, %d", n, passed);
	if (passed >= 0) {
		is(passed, "inside", "the passed pair's queue");
		expect(recv(passed, buf, 1, MSG_DONTWAIT) == 0,
		       "the passed pair's other end is not closed");
		close(passed);
	}
	is(dgram[1], "second", "datagram 2");
	is(dgram[1], "", "datagram 3");
	is(dgram[1], "fourth", "datagram 4");
	is(packets[1], "one", "packet 1");
	is(packets[1], "two", "packet 2");
	n = take(creds[1], buf, sizeof(buf), &passed, &pid);
	expect(n == 3 && pid == getpid(), "credentials: %zd bytes of process %d", n, pid);
}

static void check_names(void)
{
	struct sockaddr_un un;
	socklen_t len = sizeof(un);
	struct stat st;
	char buf[64];

	is(connected[0], "through the path", "connection by path");
	is(accepted[1], "through the abstract name", "connection by abstract name");
	memset(&un, 0, sizeof(un));
	getsockname(accepted[0], (void *)&un, &len);
	expect(!strcmp(un.sun_path, "path.sock"), "an accepted socket's name is '%s'",
	       un.sun_path);
	expect(!stat("path.sock", &st) && (st.st_mode & 07777) == 0640,
	       "mode %o of the socket file", st.st_mode);
	for (int i = 0; i < 2; i++) {
		len = sizeof(un);
		memset(&un, 0, sizeof(un));
		ssize_t n = recvfrom(inbox, buf, sizeof(buf), MSG_DONTWAIT, (void *)&un,
				     &len);
		expect(n == (i ? 7 : 6) && !memcmp(buf, i ? "another" : "letter", (size_t)n),
		       "inbox, letter %d: %zd bytes", i, n);
		expect(!strcmp(un.sun_path, "outbox.sock"), "letter %d is from '%s'", i,
		       un.sun_path);
	}
	int c = connected_to(SOCK_STREAM, "path.sock"), a = accept(at_path, NULL, NULL);
	expect(c >= 0 && a >= 0, "the listening socket does not serve");
	close(a);
	close(c);
	c = connected_to(SOCK_STREAM, abstract);
	a = accept(at_abstract, NULL, NULL);
	expect(c >= 0 && a >= 0, "the abstract listening socket does not serve");
	close(a);
	close(c);
}

static void check(void)
{
	char c;

	check_stream();
	check_dgram();
	check_names();
	expect(recv(half[1], &c, 1, MSG_DONTWAIT) == 0, "half-closed: no end");
	expect(send(half[0], "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE,
	       "half-closed: it sends");
	expect(send(half[1], "x", 1, MSG_NOSIGNAL) == 1 &&
		       recv(half[0], &c, 1, MSG_DONTWAIT) == 1,
	       "half-closed: the other way");
	expect(recv(orphan, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 1 && c == 'l',
	       "what the closed peer left");
	expect(send(orphan, "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE,
	       "a closed peer takes bytes");
	fill();
}

int main(void)
{
	int pair[2], one = 1;

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, stream));
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, half));
	must(shutdown(half[0], SHUT_WR));
	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, dgram));
	must(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets));
	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, creds));
	must(setsockopt(creds[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)));
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	must(send(pair[0], "left", 4, 0));
	close(pair[0]);
	orphan = pair[1];
	at_path = bound(SOCK_STREAM, "path.sock");
	must(chmod("path.sock", 0640));
	must(listen(at_path, 4));
	snprintf(abstract, sizeof(abstract), "@molt-save-unix-%d", getpid());
	at_abstract = bound(SOCK_STREAM, abstract);
	must(listen(at_abstract, 4));
	connected[0] = connected_to(SOCK_STREAM, "path.sock");
	accepted[0] = must(accept(at_path, NULL, NULL));
	connected[1] = connected_to(SOCK_STREAM, abstract);
	accepted[1] = must(accept(at_abstract, NULL, NULL));
	inbox = bound(SOCK_DGRAM, "inbox.sock");
	outbox = bound(SOCK_DGRAM, "outbox.sock");
	fill();
	self_run(check);
}
