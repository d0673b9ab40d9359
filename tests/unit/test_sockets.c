// SPDX-License-Identifier: LGPL-2.1-or-later
// What sockets are saved with: code that outlives the tool, the kernel's list of UNIX sockets, datagrams of others, and members
// of a hostile image.
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "os/apart.h"
#include "os/sock_diag.h"
#include "resource/datagram.h"
#include "resource/tcp_image.h"

struct shared {
	pid_t tool;
	atomic_int begun, finished;
};

static void kill_the_tool(void *arg)
{
	struct shared *s = arg;

	s->begun = 1;
	kill(s->tool, SIGKILL);
	usleep(20000); // the tool is surely gone
	s->finished = 1;
}

START_TEST(apart_outlives_the_tool)
{
	struct shared *s = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t tool = fork();

	if (!tool) {
		s->tool = getpid();
		os_run_apart(kill_the_tool, s);
		_exit(3);
	}
	ck_assert_int_eq(waitpid(tool, &status, 0), tool);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	ck_assert_int_eq(s->begun, 1);
	for (int i = 0; i < 500 && !s->finished; i++)
		usleep(10000);
	ck_assert_int_eq(s->finished, 1);
}
END_TEST

static void kill_itself(void *arg)
{
	(void)arg;
	kill(getpid(), SIGKILL);
}

static void do_nothing(void *arg)
{
	(void)arg;
}

START_TEST(apart_says_whether_it_was_killed)
{
	ck_assert_int_eq(os_run_apart(kill_itself, NULL), -EIO);
	ck_assert_int_eq(os_run_apart(do_nothing, NULL), 0);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG | __WALL),
			 -1); // nothing left to collect
}
END_TEST

static uint32_t inode(int fd)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return (uint32_t)st.st_ino;
}

static const struct os_unix_socket *find(const struct os_unix_socket *v, size_t n,
					 uint32_t wanted)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].inode == wanted)
			return &v[i];
	return NULL;
}

START_TEST(unix_sockets_are_listed)
{
	struct os_unix_socket *v;
	const struct os_unix_socket *a, *b;
	int pair[2];
	size_t n;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(send(pair[0], "abc", 3, 0), 3);
	ck_assert_int_eq(shutdown(pair[0], SHUT_WR), 0);
	ck_assert_int_eq(os_unix_sockets(getpid(), &v, &n), 0);
	a = find(v, n, inode(pair[0]));
	b = find(v, n, inode(pair[1]));
	ck_assert(a && b);
	ck_assert_int_eq(a->peer, inode(pair[1]));
	ck_assert_int_eq(b->peer, inode(pair[0]));
	ck_assert_int_eq(a->shutdown, 2);
	ck_assert_int_eq(b->shutdown, 1);
	ck_assert_int_eq(b->queued, 3);
	ck_assert_int_eq(os_socket_owner(inode(pair[0])), getpid());
	free(v);
	close(pair[0]);
	ck_assert_int_eq(os_unix_sockets(getpid(), &v, &n), 0);
	b = find(v, n, inode(pair[1]));
	ck_assert(b && b->has_peer && !b->peer);
	free(v);
	close(pair[1]);
}
END_TEST

static void datagram_of(int domain, const char *from_ip, const char *to_ip)
{
	struct socket_addr from = {.len = 0}, to = {.len = sizeof(to.sa)}, got;
	struct sockaddr_in *f4 = (void *)&from.sa, *t4 = (void *)&to.sa;
	struct sockaddr_in6 *f6 = (void *)&from.sa, *t6 = (void *)&to.sa;
	int fd = socket(domain, SOCK_DGRAM, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char buf[16];

	from.sa.ss_family = to.sa.ss_family = (sa_family_t)domain;
	from.len = domain == AF_INET ? sizeof(*f4) : sizeof(*f6);
	if (domain == AF_INET) {
		inet_pton(domain, from_ip, &f4->sin_addr);
		inet_pton(domain, to_ip, &t4->sin_addr);
	} else {
		inet_pton(domain, from_ip, &f6->sin6_addr);
		inet_pton(domain, to_ip, &t6->sin6_addr);
	}
	f4->sin_port = htons(5353);
	ck_assert_int_eq(bind(fd, (void *)&to.sa, from.len), 0);
	socket_local(fd, &to);
	int r = datagram_send(&from, &to, "odd", 3);
	if (r == -EPERM)
		return; // needs CAP_NET_RAW
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(poll(&p, 1, 2000), 1);
	got.len = sizeof(got.sa);
	ck_assert_int_eq(recvfrom(fd, buf, sizeof(buf), 0, (void *)&got.sa, &got.len), 3);
	ck_assert(!memcmp(buf, "odd", 3));
	ck_assert(socket_addr_equal(&from, &got));
	close(fd);
}

START_TEST(datagrams_of_others)
{
	datagram_of(AF_INET, "192.0.2.7", "127.0.0.1");
	datagram_of(AF_INET, "127.0.0.1", "127.0.0.1");
	datagram_of(AF_INET6, "::1", "::1");
}
END_TEST

static json_t *parse(const char *text)
{
	json_t *o = json_loads(text, 0, NULL);

	ck_assert(o);
	return o;
}

static void refuses_addr(const char *text, int domain)
{
	json_t *o = parse(text);
	struct socket_addr a;
	struct err *e = socket_get_addr(o, "local", domain, &a);

	ck_assert(e && e->kind == ERR_CORRUPT);
	err_free(e);
	json_decref(o);
}

START_TEST(hostile_addresses)
{
	refuses_addr("{\"local\": {\"bytes\": \"AgA=\"}}", AF_INET); // two bytes
	refuses_addr("{\"local\": {\"bytes\": \"AQA=\"}}", AF_INET6);
	refuses_addr("{\"local\": {\"bytes\": \"CgAAUAAAAAAAAAAAAAAAAA==\"}}", AF_INET);
	refuses_addr("{\"local\": {\"text\": \"1.2.3.4:5\"}}", AF_INET);
	refuses_addr("{\"local\": 7}", AF_INET);
}
END_TEST

static struct err *read_image(const char *text)
{
	struct tcp_image t = {0};
	json_t *o = parse(text);
	struct err *e = tcp_image_get(o, &t);

	tcp_image_deinit(&t);
	json_decref(o);
	return e;
}

#define QUEUES \
	"\"in\": {\"seq\": 1, \"data\": \"\"}, \"out\": {\"seq\": 1, \"data\": \"YWI=\""

START_TEST(hostile_connections)
{
	static const char *const bad[] = {
		"{}",
		"{\"tcp\": {\"state\": 12, \"mss\": 1, \"sack\": true, " QUEUES "}}}",
		"{\"tcp\": {\"state\": 1, \"mss\": -1, \"sack\": true, " QUEUES "}}}",
		"{\"tcp\": {\"state\": 1, \"mss\": 1, \"sack\": true, " QUEUES
		", \"unsent\": 3}}}", // more than there is
		"{\"tcp\": {\"state\": 1, \"mss\": 1, \"sack\": true, \"snd_wscale\": "
		"15, " QUEUES "}}}",
		"{\"tcp\": {\"state\": 1, \"mss\": 1, \"sack\": true, \"timestamp\": "
		"4294967296, " QUEUES "}}}",
		"{\"tcp\": {\"state\": 1, \"mss\": 1, \"sack\": true, \"window\": "
		"{}, " QUEUES "}}}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err *e = read_image(bad[i]);

		ck_assert_msg(e && e->kind == ERR_CORRUPT, "%s is taken", bad[i]);
		err_free(e);
	}
	ck_assert(
		!read_image("{\"tcp\": {\"state\": 1, \"mss\": 1, \"sack\": true, " QUEUES
			    ", \"unsent\": 2}}}"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sockets");
	TCase *t = tcase_create("sockets");
	SRunner *runner = srunner_create(suite);

	tcase_add_test(t, apart_outlives_the_tool);
	tcase_add_test(t, apart_says_whether_it_was_killed);
	tcase_add_test(t, unix_sockets_are_listed);
	tcase_add_test(t, datagrams_of_others);
	tcase_add_test(t, hostile_addresses);
	tcase_add_test(t, hostile_connections);
	suite_add_tcase(suite, t);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
