// SPDX-License-Identifier: LGPL-2.1-or-later
// A small web server with keep-alive connections: it serves the files of one folder, and /status.
//
// usage: webserver PORT FOLDER. One process, an epoll loop, a timer that ticks ten times a second. It ends
// cleanly at SIGTERM. Version 1.0 serves "/../secret" too; 1.1 is 1.0 with that hole closed.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define VERSION "1.0"

enum {
	MAX_REQUEST = 4096,
	MAX_FILE = 65536,
};

struct connection {
	int fd;
	unsigned long requests; // answered on this connection
	size_t n;
	char in[MAX_REQUEST + 1];
};

struct server {
	int epoll, listener, timer, signals;
	const char *folder;
	unsigned long ticks, requests, connections;
	bool stop;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void watch(struct server *s, int fd, void *who)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = who};

	if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		die("epoll_ctl");
}

static void set_up(struct server *s, int port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct itimerspec tenth = {{0, 100000000}, {0, 100000000}};
	sigset_t term;
	int one = 1;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	signal(SIGPIPE, SIG_IGN);
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->signals = signalfd(-1, &term, SFD_CLOEXEC);
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	timerfd_settime(s->timer, 0, &tenth, NULL);
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(s->listener, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(s->listener, 64) < 0)
		die("cannot listen");
	watch(s, s->listener, &s->listener);
	watch(s, s->timer, &s->timer);
	watch(s, s->signals, &s->signals);
}

static bool send_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t sent = send(fd, p, n, 0);

		if (sent < 0)
			return false;
		p += sent;
		n -= (size_t)sent;
	}
	return true;
}

static bool answer(struct connection *c, const char *status, const char *body, size_t n)
{
	char head[256];
	int len = snprintf(head, sizeof(head),
			   "HTTP/1.1 %s\r\nServer: webserver/" VERSION
			   "\r\nContent-Length: %zu\r\n\r\n",
			   status, n);

	c->requests++;
	return send_all(c->fd, head, (size_t)len) && send_all(c->fd, body, n);
}

static bool answer_text(struct connection *c, const char *status, const char *text)
{
	return answer(c, status, text, strlen(text));
}

static bool answer_status(struct server *s, struct connection *c)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "{\"version\": \"" VERSION
		 "\", \"pid\": %d, \"ticks\": %lu, \"requests\": %lu, "
		 "\"connections\": %lu, \"on_this_connection\": %lu}\n",
		 getpid(), s->ticks, s->requests, s->connections, c->requests);
	return answer_text(c, "200 OK", text);
}

static bool answer_file(struct server *s, struct connection *c, const char *path)
{
	static char body[MAX_FILE];
	char name[MAX_REQUEST + 256];
	ssize_t n;
	int fd;

	snprintf(name, sizeof(name), "%s%s", s->folder, path);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return answer_text(c, "404 Not Found", "there is no such file\n");
	n = read(fd, body, sizeof(body));
	close(fd);
	if (n < 0)
		return answer_text(c, "404 Not Found", "that is no file\n");
	return answer(c, "200 OK", body, (size_t)n);
}

static bool answer_request(struct server *s, struct connection *c, const char *request)
{
	char path[MAX_REQUEST];

	s->requests++;
	if (sscanf(request, "GET %4095s HTTP/1.", path) != 1)
		return answer_text(c, "400 Bad Request", "only GET is known here\n");
	if (strcmp(path, "/status") == 0)
		return answer_status(s, c);
	return answer_file(s, c, path);
}

static void hang_up(struct server *s, struct connection *c)
{
	close(c->fd);
	free(c);
	s->connections--;
}

// Reads what has come and answers the requests that are complete.
static void serve(struct server *s, struct connection *c)
{
	ssize_t n = recv(c->fd, c->in + c->n, MAX_REQUEST - c->n, 0);
	char *end;

	if (n <= 0) {
		hang_up(s, c);
		return;
	}
	c->n += (size_t)n;
	c->in[c->n] = 0;
	while ((end = strstr(c->in, "\r\n\r\n"))) {
		size_t len = (size_t)(end + 4 - c->in);

		*end = 0;
		if (!answer_request(s, c, c->in)) {
			hang_up(s, c);
			return;
		}
		memmove(c->in, c->in + len, c->n - len + 1);
		c->n -= len;
	}
	if (c->n == MAX_REQUEST)
		hang_up(s, c);
}

static void welcome(struct server *s)
{
	int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
	struct connection *c = fd < 0 ? NULL : calloc(1, sizeof(*c));

	if (!c) {
		if (fd >= 0)
			close(fd);
		return;
	}
	c->fd = fd;
	s->connections++;
	watch(s, fd, c);
}

static void tick(struct server *s)
{
	uint64_t n;

	if (read(s->timer, &n, sizeof(n)) == sizeof(n))
		s->ticks += n;
}

static void run(struct server *s)
{
	while (!s->stop) {
		struct epoll_event e[16];
		int n = epoll_wait(s->epoll, e, 16, -1);

		for (int i = 0; i < n; i++) {
			if (e[i].data.ptr == &s->listener)
				welcome(s);
			else if (e[i].data.ptr == &s->timer)
				tick(s);
			else if (e[i].data.ptr == &s->signals)
				s->stop = true;
			else
				serve(s, e[i].data.ptr);
		}
		if (n < 0)
			die("epoll_wait"); // nothing may break it off: SIGTERM comes through a descriptor
	}
}

int main(int argc, char **argv)
{
	struct server s = {0};

	if (argc != 3) {
		fprintf(stderr, "usage: webserver PORT FOLDER\n");
		return 2;
	}
	s.folder = argv[2];
	set_up(&s, atoi(argv[1]));
	printf("webserver " VERSION " serves %s on port %s\n", s.folder, argv[1]);
	fflush(stdout);
	run(&s);
	printf("served %lu requests\n", s.requests);
	return 0;
}
