// SPDX-License-Identifier: LGPL-2.1-or-later
// Pipes and FIFOs with what is in them: bytes, packets, a full one, capacity, one end closed, several openings.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "tests/victims/self.h"

enum { BIG = 1 << 18 };

static int bytes[2], packets[2], full[2], closed_reader, closed_writer, big[2], fifo[2],
	anew, empty[2];
static char pattern[BIG];

static void expect_bytes(int r, int w, const char *text, const char *what)
{
	char buf[64] = {0};
	int n = 0;

	must(ioctl(r, FIONREAD, &n));
	expect(n == (int)strlen(text), "%s: %d bytes, not %zu", what, n, strlen(text));
	if (n != (int)strlen(text))
		return;
	must(read(r, buf, sizeof(buf) - 1));
	expect(!strcmp(buf, text), "%s: '%s', not '%s'", what, buf, text);
	must(write(w, text, strlen(text)));
}

static void check_packets(void)
{
	static const char *const sent[] = {"one", "two", "a third one"};
	char buf[64];

	for (int i = 0; i < 3; i++) {
		ssize_t n = read(packets[0], buf, sizeof(buf));
		expect(n == (ssize_t)strlen(sent[i]) && !memcmp(buf, sent[i], (size_t)n),
		       "packet %d has %zd bytes", i, n);
	}
	for (int i = 0; i < 3; i++)
		must(write(packets[1], sent[i], strlen(sent[i])));
	expect(fcntl(packets[1], F_GETFL) == (O_WRONLY | O_DIRECT), "packets: flags %#o",
	       fcntl(packets[1], F_GETFL));
}

static void check_full(void)
{
	static char buf[BIG];
	size_t got = 0;
	int n;

	expect(write(full[1], "x", 1) < 0 && errno == EAGAIN, "the full pipe takes more");
	expect(fcntl(big[0], F_GETPIPE_SZ) == BIG, "big: capacity %d",
	       fcntl(big[0], F_GETPIPE_SZ));
	must(ioctl(big[0], FIONREAD, &n));
	expect(n == BIG, "big: %d bytes", n);
	if (n != BIG)
		return;
	while (got < BIG)
		got += (size_t)must(read(big[0], buf + got, BIG - got));
	expect(!memcmp(buf, pattern, BIG), "big: other bytes");
	must(write(big[1], pattern, BIG));
}

static void check(void)
{
	struct pollfd p = {.fd = closed_writer, .events = POLLIN};
	char buf[8];

	expect_bytes(bytes[0], bytes[1], "some bytes", "bytes");
	expect_bytes(anew, bytes[1], "some bytes", "bytes, opened anew");
	expect(fcntl(anew, F_GETFL) & O_NONBLOCK, "opened anew: it would block");
	expect(!(fcntl(bytes[0], F_GETFL) & O_NONBLOCK), "bytes: it would not block");
	check_packets();
	check_full();
	must(poll(&p, 1, 0));
	expect(p.revents & POLLHUP, "no writer: poll says %#x", p.revents);
	expect(write(closed_reader, "x", 1) < 0 && errno == EPIPE, "no reader: %m");
	expect_bytes(fifo[0], fifo[1], "by name", "fifo");
	p = (struct pollfd){.fd = empty[0], .events = POLLIN};
	expect(poll(&p, 1, 0) == 0, "empty: poll says %#x", p.revents);
	must(write(empty[1], "e", 1));
	expect(read(empty[0], buf, 8) == 1, "empty: read");
}

int main(void)
{
	int p[2];

	self_block();
	signal(SIGPIPE, SIG_IGN);
	must(pipe(bytes));
	must(write(bytes[1], "some bytes", 10));
	char name[40];
	snprintf(name, sizeof(name), "/proc/self/fd/%d", bytes[0]);
	anew = must(open(name, O_RDONLY | O_NONBLOCK));
	must(pipe2(packets, O_DIRECT));
	must(write(packets[1], "one", 3));
	must(write(packets[1], "two", 3));
	must(write(packets[1], "a third one", 11));
	must(fcntl(packets[0], F_SETFL, 0));
	must(pipe2(full, O_NONBLOCK));
	while (write(full[1], pattern, 4096) > 0)
		continue;
	must(pipe(big));
	must(fcntl(big[0], F_SETPIPE_SZ, BIG));
	for (int i = 0; i < BIG; i++)
		pattern[i] = (char)(i * 7 + i / 4096);
	must(write(big[1], pattern, BIG));
	must(pipe(p));
	close(p[0]);
	closed_reader = p[1];
	must(pipe(p));
	close(p[1]);
	closed_writer = p[0];
	must(mkfifo("fifo", 0600));
	fifo[0] = must(open("fifo", O_RDONLY | O_NONBLOCK));
	fifo[1] = must(open("fifo", O_WRONLY));
	must(write(fifo[1], "by name", 7));
	must(pipe(empty));
	self_run(check);
}
