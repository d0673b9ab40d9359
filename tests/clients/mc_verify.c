// SPDX-License-Identifier: LGPL-2.1-or-later
// A memcached client that knows what every reply must be: each connection has keys of its
// own and a model of them in memory. Counts wrong replies, dropped connections and the
// longest time a reply took.
//
// usage: mc_verify [-s] PORT CONNECTIONS [THINK_US [SECONDS]]
// -s: no get of several keys (memcached 1.6.18's proxy answers those wrong by itself).
// Prints "running" when every connection has had a reply. Ends after SECONDS, or when
// stdin says a line or ends, with one line of JSON. Exit 0: nothing wrong, nothing
// dropped; 1: something was; 2: usage.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	KEYS = 32,
	MAX_VALUE = 3000,
	BUF = 8192,
	WRONG_SHOWN = 200,
};

enum op {
	OP_SET,
	OP_GET,
	OP_DELETE,
	OP_ADD,
	OP_APPEND,
	OP_INCR,
	OP_DECR,
	OP_COUNTER,
	OP_TOUCH,
	OP_MANY,
	N_OPS
};

struct key {
	bool present;
	uint32_t seed;	   // what value and length are made from
	uint32_t appended; // bytes appended to it, each 'a'
};

struct conn {
	int fd;		  // -1: dropped
	unsigned id, run; // run: keys of two clients differ
	struct key keys[KEYS];
	bool counter_present, single;
	uint64_t counter;
	uint64_t random;
	char out[BUF], want[2 * BUF], in[2 * BUF];
	size_t out_len, out_done, want_len, in_len;
	uint64_t sent, next; // ns: when the request went out; when the next one may
	uint64_t ops;
};

struct tally {
	uint64_t ops, wrong, dropped, longest_ns;
	char first_wrong[WRONG_SHOWN];
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint32_t next_random(struct conn *c)
{
	c->random = c->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(c->random >> 33);
}

static size_t value_of(const struct key *k, char *buf)
{
	size_t n = 1 + k->seed % (MAX_VALUE - 1000);
	uint32_t x = k->seed | 1;

	for (size_t i = 0; i < n; i++) {
		x = x * 1664525u + 1013904223u;
		buf[i] = (char)('A' + (x >> 24) % 26);
	}
	memset(buf + n, 'a', k->appended);
	return n + k->appended;
}

static void __attribute__((format(printf, 2, 3)))
request(struct conn *c, const char *fmt, ...)
{
	va_list ap;

	__builtin_va_start(ap, fmt);
	c->out_len += (size_t)vsnprintf(c->out + c->out_len, BUF - c->out_len, fmt, ap);
	__builtin_va_end(ap);
}

static void __attribute__((format(printf, 2, 3)))
expect(struct conn *c, const char *fmt, ...)
{
	va_list ap;

	__builtin_va_start(ap, fmt);
	c->want_len += (size_t)vsnprintf(c->want + c->want_len,
					 sizeof(c->want) - c->want_len, fmt, ap);
	__builtin_va_end(ap);
}

static void expect_value(struct conn *c, unsigned i)
{
	char value[MAX_VALUE + 8];
	size_t n;

	if (!c->keys[i].present)
		return;
	n = value_of(&c->keys[i], value);
	expect(c, "VALUE r%uc%u_%u %u %zu\r\n%.*s\r\n", c->run, c->id, i, i, n, (int)n,
	       value);
}

static void store(struct conn *c, const char *verb, unsigned i)
{
	char value[MAX_VALUE + 8];
	struct key fresh = {.present = true, .seed = next_random(c)};
	size_t n = value_of(&fresh, value);

	request(c, "%s r%uc%u_%u %u 0 %zu\r\n%.*s\r\n", verb, c->run, c->id, i, i, n,
		(int)n, value);
	if (strcmp(verb, "add") == 0 && c->keys[i].present) {
		expect(c, "NOT_STORED\r\n");
		return;
	}
	c->keys[i] = fresh;
	expect(c, "STORED\r\n");
}

static void append(struct conn *c, unsigned i)
{
	struct key *k = &c->keys[i];
	bool room = k->appended < 900;

	if (!room) {
		store(c, "set", i);
		return;
	}
	request(c, "append r%uc%u_%u 0 0 3\r\naaa\r\n", c->run, c->id, i);
	expect(c, k->present ? "STORED\r\n" : "NOT_STORED\r\n");
	k->appended += k->present ? 3 : 0;
}

static void count(struct conn *c, enum op op)
{
	unsigned by = next_random(c) % 1000;

	if (!c->counter_present || op == OP_COUNTER) {
		c->counter = next_random(c);
		c->counter_present = true;
		request(c, "set r%un%u 0 0 20\r\n%020" PRIu64 "\r\n", c->run, c->id,
			c->counter);
		expect(c, "STORED\r\n");
		return;
	}
	request(c, "%s r%un%u %u\r\n", op == OP_INCR ? "incr" : "decr", c->run, c->id, by);
	if (op == OP_INCR)
		c->counter += by;
	else
		c->counter = c->counter < by ? 0 : c->counter - by;
	expect(c, "%" PRIu64 "\r\n", c->counter);
}

static void many(struct conn *c, unsigned from)
{
	char value[MAX_VALUE + 8];
	size_t room = sizeof(c->want) - 16;

	request(c, "get");
	for (unsigned i = from; i < KEYS && i < from + 4; i++) {
		struct key *k = &c->keys[i];
		size_t n = k->present ? value_of(k, value) + 64 : 0;

		if (c->want_len + n > room)
			break;
		request(c, " r%uc%u_%u", c->run, c->id, i);
		expect_value(c, i);
	}
	request(c, "\r\n");
	expect(c, "END\r\n");
}

// Chooses the next request and writes down what its reply must be.
static void make_request(struct conn *c)
{
	enum op op = (enum op)(next_random(c) % (c->single ? OP_MANY : N_OPS));
	unsigned i = next_random(c) % KEYS;

	c->out_len = c->out_done = c->want_len = c->in_len = 0;
	switch (op) {
	case OP_SET:
		store(c, "set", i);
		break;
	case OP_ADD:
		store(c, "add", i);
		break;
	case OP_APPEND:
		append(c, i);
		break;
	case OP_DELETE:
		request(c, "delete r%uc%u_%u\r\n", c->run, c->id, i);
		expect(c, c->keys[i].present ? "DELETED\r\n" : "NOT_FOUND\r\n");
		c->keys[i] = (struct key){0};
		break;
	case OP_TOUCH:
		request(c, "touch r%uc%u_%u 0\r\n", c->run, c->id, i);
		expect(c, c->keys[i].present ? "TOUCHED\r\n" : "NOT_FOUND\r\n");
		break;
	case OP_INCR:
	case OP_DECR:
	case OP_COUNTER:
		count(c, op);
		break;
	case OP_MANY:
		many(c, i);
		break;
	case OP_GET:
	case N_OPS:
	default:
		request(c, "get r%uc%u_%u\r\n", c->run, c->id, i);
		expect_value(c, i);
		expect(c, "END\r\n");
		break;
	}
}

static void drop(struct conn *c, struct tally *t)
{
	close(c->fd);
	c->fd = -1;
	t->dropped++;
}

static bool send_some(struct conn *c)
{
	while (c->out_done < c->out_len) {
		ssize_t n = send(c->fd, c->out + c->out_done, c->out_len - c->out_done,
				 MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN;
		c->out_done += (size_t)n;
	}
	return true;
}

static void set_events(int ep, struct conn *c, int how)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};

	if (c->out_done < c->out_len)
		e.events |= EPOLLOUT;
	epoll_ctl(ep, how, c->fd, &e);
}

static void start_request(int ep, struct conn *c, struct tally *t)
{
	make_request(c);
	c->sent = now_ns();
	if (!send_some(c))
		drop(c, t);
	else if (c->out_done < c->out_len)
		set_events(ep, c, EPOLL_CTL_MOD);
}

static void judge(struct conn *c, struct tally *t, uint64_t now)
{
	if (c->in_len != c->want_len || memcmp(c->in, c->want, c->want_len) != 0) {
		if (!t->wrong++)
			snprintf(t->first_wrong, sizeof(t->first_wrong),
				 "%.60s: got %.60s, want %.60s", c->out, c->in, c->want);
		close(c->fd); // the stream is out of step: what follows could not be
			      // judged
		c->fd = -1;
		return;
	}
	t->ops++;
	c->ops++;
	if (now - c->sent > t->longest_ns)
		t->longest_ns = now - c->sent;
}

// Reads what has come; true when the reply is complete (or can no longer become right).
static bool receive(struct conn *c, struct tally *t)
{
	ssize_t n = recv(c->fd, c->in + c->in_len, sizeof(c->in) - 1 - c->in_len, 0);

	if (n <= 0) {
		if (n == 0 || errno != EAGAIN)
			drop(c, t);
		return false;
	}
	c->in_len += (size_t)n;
	c->in[c->in_len] = 0;
	return c->in_len >= c->want_len || memcmp(c->in, c->want, c->in_len) != 0;
}

static int connect_to(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void handle_event(int ep, const struct epoll_event *e, struct tally *t,
			 uint64_t think)
{
	struct conn *c = e->data.ptr;

	if (e->events & EPOLLOUT) {
		if (!send_some(c)) {
			drop(c, t);
			return;
		}
		set_events(ep, c, EPOLL_CTL_MOD);
	}
	if (!(e->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || !receive(c, t))
		return;
	uint64_t now = now_ns();

	judge(c, t, now);
	c->want_len = 0;
	c->next = now + think;
	if (!think && c->fd >= 0)
		start_request(ep, c, t);
}

// Starts the requests that are due; the ms until the next one is.
static int start_due(int ep, struct conn *conns, unsigned n, struct tally *t)
{
	uint64_t now = now_ns(), soonest = now + 100000000u;

	for (struct conn *c = conns; c < conns + n; c++) {
		if (c->fd < 0 || c->want_len)
			continue;
		if (c->next <= now)
			start_request(ep, c, t);
		else if (c->next < soonest)
			soonest = c->next;
	}
	return (int)((soonest - now + 999999) / 1000000);
}

static bool all_heard(const struct conn *conns, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (!conns[i].ops)
			return false;
	return true;
}

static void run(int ep, struct conn *conns, unsigned n, uint64_t think, uint64_t until,
		struct tally *t)
{
	bool told = false;

	for (unsigned i = 0; i < n; i++)
		conns[i].next = now_ns() + think * i / n;
	while (now_ns() < until && t->dropped + t->wrong < n) {
		struct epoll_event e[64];
		int ms = start_due(ep, conns, n, t);
		int got = epoll_wait(ep, e, 64, ms);

		for (int i = 0; i < got; i++) {
			if (!e[i].data.ptr)
				return;
			if (((struct conn *)e[i].data.ptr)->fd >= 0)
				handle_event(ep, &e[i], t, think);
		}
		if (!told && all_heard(conns, n)) {
			printf("running\n");
			fflush(stdout);
			told = true;
		}
	}
}

// A request that never had its reply: the server hangs although the connection is open.
static unsigned unanswered(const struct conn *conns, unsigned n)
{
	unsigned hung = 0;

	for (unsigned i = 0; i < n; i++)
		hung += conns[i].fd >= 0 && conns[i].want_len &&
			now_ns() - conns[i].sent > 5000000000u;
	return hung;
}

int main(int argc, char **argv)
{
	bool single = argc > 1 && strcmp(argv[1], "-s") == 0;

	argc -= single;
	argv += single;
	int port = argc > 2 ? atoi(argv[1]) : 0;
	unsigned n = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
	uint64_t think = argc > 3 ? strtoull(argv[3], NULL, 10) * 1000 : 0;
	uint64_t start = now_ns(), until = UINT64_MAX;
	struct tally t = {0};

	if (!port || !n) {
		fprintf(stderr,
			"usage: mc_verify [-s] PORT CONNECTIONS [THINK_US [SECONDS]]\n");
		return 2;
	}
	if (argc > 4)
		until = start + strtoull(argv[4], NULL, 10) * 1000000000u;
	struct conn *conns = calloc(n, sizeof(*conns));
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event stop = {.events = EPOLLIN};

	if (!conns || ep < 0)
		return 2;
	if (argc <= 4)
		epoll_ctl(ep, EPOLL_CTL_ADD, 0, &stop);
	for (unsigned i = 0; i < n; i++) {
		conns[i].id = i;
		conns[i].single = single;
		conns[i].run = (unsigned)getpid();
		conns[i].random = i * 7919u + (uint64_t)getpid();
		conns[i].fd = connect_to(port);
		if (conns[i].fd < 0) {
			fprintf(stderr, "mc_verify: cannot connect to port %d: %s\n",
				port, strerror(errno));
			return 2;
		}
		set_events(ep, &conns[i], EPOLL_CTL_ADD);
	}
	run(ep, conns, n, think, until, &t);
	unsigned hung = unanswered(conns, n);
	double s = (double)(now_ns() - start) / 1e9;

	for (char *p = t.first_wrong; *p; p++)
		if (*p == '"' || *p == '\\' || *p < ' ')
			*p = ' ';
	printf("{\"connections\": %u, \"ops\": %" PRIu64 ", \"wrong\": %" PRIu64
	       ", \"dropped\": %" PRIu64 ", \"hung\": %u, \"longest_gap_us\": %" PRIu64
	       ", \"seconds\": %.3f, \"first_wrong\": \"%s\"}\n",
	       n, t.ops, t.wrong, t.dropped, hung, t.longest_ns / 1000, s, t.first_wrong);
	return t.wrong || t.dropped || hung;
}
