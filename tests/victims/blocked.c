// SPDX-License-Identifier: LGPL-2.1-or-later
// One thread for each way of blocking with a time limit. Each must end by its limit and not before it,
// whatever stops come between, and never with EINTR.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { LIMIT_MS = 400 };
static const struct timespec LIMIT = {0, LIMIT_MS * 1000000L};

static struct timespec at(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	t.tv_nsec += LIMIT.tv_nsec;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	return t;
}

static int quiet_pipe(void)
{
	int fd[2];

	return pipe(fd) ? -1 : fd[0];
}

static int quiet_socket(int type)
{
	int fd = socket(AF_INET, type, 0);
	struct sockaddr_in any = {.sin_family = AF_INET,
				  .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct timeval tv = {0, LIMIT_MS * 1000};

	if (bind(fd, (struct sockaddr *)&any, sizeof(any)))
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	return fd;
}

static int quiet_epoll(void)
{
	struct epoll_event e = {.events = EPOLLIN};
	int ep = epoll_create1(0);

	epoll_ctl(ep, EPOLL_CTL_ADD, quiet_pipe(), &e);
	return ep;
}

// Each gives 0 when it ended as it should, else the errno or -1.
static int b_nanosleep(void)
{
	return nanosleep(&LIMIT, NULL) ? errno : 0;
}

static int b_clock_nanosleep(void)
{
	struct timespec end = at(CLOCK_MONOTONIC);

	return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
}

static int b_poll(void)
{
	struct pollfd p = {quiet_pipe(), POLLIN, 0};

	return poll(&p, 1, LIMIT_MS) ? errno : 0;
}

static int b_ppoll(void)
{
	struct pollfd p = {quiet_pipe(), POLLIN, 0};
	sigset_t none;

	sigemptyset(&none);
	return ppoll(&p, 1, &LIMIT, &none) ? errno : 0;
}

static int b_select(void)
{
	int fd = quiet_pipe();
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	return select(fd + 1, &set, NULL, NULL, &(struct timeval){0, LIMIT_MS * 1000})
		       ? errno
		       : 0;
}

static int b_cond(void)
{
	pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t c = PTHREAD_COND_INITIALIZER;
	struct timespec end = at(CLOCK_REALTIME);
	int r;

	pthread_mutex_lock(&m);
	r = pthread_cond_timedwait(&c, &m, &end);
	return r == ETIMEDOUT ? 0 : r ? r : -1;
}

static int b_semaphore(void)
{
	struct timespec end = at(CLOCK_REALTIME);
	sem_t s;

	sem_init(&s, 0, 0);
	return !sem_timedwait(&s, &end) ? -1 : errno == ETIMEDOUT ? 0 : errno;
}

static int b_futex(void)
{
	int word = 0;

	return !syscall(SYS_futex, &word, FUTEX_WAIT, 0, &LIMIT) ? -1
	       : errno == ETIMEDOUT				 ? 0
								 : errno;
}

static int b_epoll_wait(void)
{
	struct epoll_event e;

	return epoll_wait(quiet_epoll(), &e, 1, LIMIT_MS) ? errno : 0;
}

static int b_epoll_pwait(void)
{
	struct epoll_event e;
	sigset_t none;

	sigemptyset(&none);
	return epoll_pwait(quiet_epoll(), &e, 1, LIMIT_MS, &none) ? errno : 0;
}

static int b_epoll_pwait2(void)
{
	struct epoll_event e;

	return syscall(441, quiet_epoll(), &e, 1, &LIMIT, NULL, 8) ? errno : 0;
}

static int b_sigtimedwait(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	return sigtimedwait(&set, NULL, &LIMIT) >= 0 ? -1 : errno == EAGAIN ? 0 : errno;
}

static int b_semtimedop(void)
{
	int id = semget(IPC_PRIVATE, 1, 0600), r;
	struct sembuf op = {0, -1, 0};

	r = !semtimedop(id, &op, 1, &LIMIT) ? -1 : errno == EAGAIN ? 0 : errno;
	semctl(id, 0, IPC_RMID);
	return r;
}

static int b_recv(void)
{
	char c;

	return recv(quiet_socket(SOCK_DGRAM), &c, 1, 0) >= 0 ? -1
	       : errno == EAGAIN			     ? 0
							     : errno;
}

static int b_recvmsg(void)
{
	char c;
	struct iovec v = {&c, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	return recvmsg(quiet_socket(SOCK_DGRAM), &m, 0) >= 0 ? -1
	       : errno == EAGAIN			     ? 0
							     : errno;
}

static int b_read_socket(void)
{
	char c;

	return read(quiet_socket(SOCK_DGRAM), &c, 1) >= 0 ? -1
	       : errno == EAGAIN			  ? 0
							  : errno;
}

static int b_accept(void)
{
	int fd = quiet_socket(SOCK_STREAM);

	listen(fd, 1);
	return accept(fd, NULL, NULL) >= 0 ? -1 : errno == EAGAIN ? 0 : errno;
}

static int late_pipe; // gets a byte from main at the limit

static int b_read_pipe(void)
{
	char c;
	ssize_t r = read(late_pipe, &c, 1);

	return r == 1 ? 0 : r < 0 ? errno : -1;
}

static int b_mq(void)
{
	char name[64], buf[8];
	struct mq_attr attr = {.mq_maxmsg = 1, .mq_msgsize = 8};
	struct timespec end = at(CLOCK_REALTIME);

	snprintf(name, sizeof(name), "/molt-victim-%d", getpid());
	mqd_t q = mq_open(name, O_CREAT | O_RDWR, 0600, &attr);
	if (q < 0) {
		nanosleep(&LIMIT, NULL);
		return 0; // no message queues here
	}
	mq_unlink(name);
	return mq_timedreceive(q, buf, sizeof(buf), NULL, &end) >= 0 ? -1
	       : errno == ETIMEDOUT				     ? 0
								     : errno;
}

static const struct kind {
	const char *name;
	int (*run)(void);
} kinds[] = {
	{"nanosleep", b_nanosleep},
	{"clock_nanosleep", b_clock_nanosleep},
	{"poll", b_poll},
	{"ppoll", b_ppoll},
	{"select", b_select},
	{"condition", b_cond},
	{"semaphore", b_semaphore},
	{"futex", b_futex},
	{"epoll_wait", b_epoll_wait},
	{"epoll_pwait", b_epoll_pwait},
	{"epoll_pwait2", b_epoll_pwait2},
	{"sigtimedwait", b_sigtimedwait},
	{"semtimedop", b_semtimedop},
	{"recv", b_recv},
	{"recvmsg", b_recvmsg},
	{"read_socket", b_read_socket},
	{"accept", b_accept},
	{"read_pipe", b_read_pipe},
	{"mq_timedreceive", b_mq},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static atomic_uint bad;

static void *run(void *arg)
{
	const struct kind *k = arg;
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	int r = k->run();
	clock_gettime(CLOCK_MONOTONIC, &b);
	long ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
	// Clocks of the limit and of this check differ by up to a tick.
	if (r || ms < LIMIT_MS - 10) {
		fprintf(stderr, "victim: %s after %ld ms: %s\n", k->name, ms,
			r > 0 ? strerror(r) : "result");
		bad++;
	}
	return NULL;
}

int main(void)
{
	pthread_t t[KINDS];
	sigset_t usr2;
	int fd[2];
	char c;

	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &usr2, NULL);
	if (pipe(fd))
		return 2;
	late_pipe = fd[0];
	for (size_t i = 0; i < KINDS; i++)
		pthread_create(&t[i], NULL, run, (void *)(uintptr_t)&kinds[i]);
	nanosleep(&(struct timespec){0, 50000000}, NULL);
	puts("ready");
	fflush(stdout);
	nanosleep(&LIMIT, NULL);
	if (write(fd[1], "x", 1) != 1)
		return 2;
	for (size_t i = 0; i < KINDS; i++)
		pthread_join(t[i], NULL);
	if (read(0, &c, 1))
		bad++;
	return bad ? 1 : 0;
}
