// SPDX-License-Identifier: LGPL-2.1-or-later
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <time.h>

#include "victim.h"

static const char *volatile broken = "none";
static volatile int entered;

static int pipefd[2], sock[2], pair[2];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

static long in_read(void)
{
	char c;

	return read(pipefd[0], &c, 1);
}

static long in_recv(void)
{
	char c;

	return recv(sock[0], &c, 1, 0);
}

static long in_recv_timeout(void)
{
	struct timeval t = { 600, 0 };
	char c;

	setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	return recv(pair[0], &c, 1, 0);
}

static long in_nanosleep(void)
{
	struct timespec t = { 600, 0 };

	return nanosleep(&t, NULL);
}

static long in_poll(void)
{
	struct pollfd p = { pipefd[0], POLLIN, 0 };

	return poll(&p, 1, 600000);
}

static long in_ppoll(void)
{
	struct pollfd p = { pipefd[0], POLLIN, 0 };
	struct timespec t = { 600, 0 };

	return ppoll(&p, 1, &t, NULL);
}

static long in_select(void)
{
	fd_set s;

	FD_ZERO(&s);
	FD_SET(pipefd[0], &s);
	return select(pipefd[0] + 1, &s, NULL, NULL, NULL);
}

static long in_epoll_wait(void)
{
	struct epoll_event e;

	return epoll_wait(epoll_create1(0), &e, 1, -1);
}

static long in_epoll_wait_timeout(void)
{
	struct epoll_event e;

	return epoll_wait(epoll_create1(0), &e, 1, 600000);
}

static long in_sigwaitinfo(void)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, SIGUSR2);
	return sigwaitinfo(&s, NULL);
}

static long in_semop(void)
{
	int id = semget(IPC_PRIVATE, 1, 0600);
	struct sembuf b = { 0, -1, 0 };
	long got = semop(id, &b, 1);

	semctl(id, 0, IPC_RMID);
	return got;
}

static long in_cond_wait(void)
{
	pthread_mutex_lock(&mutex);
	return pthread_cond_wait(&cond, &mutex);
}

static long in_sem_wait(void)
{
	sem_t s;

	sem_init(&s, 0, 0);
	return sem_wait(&s);
}

static long in_accept(void)
{
	int l = socket(AF_INET, SOCK_STREAM, 0);

	listen(l, 1);
	return accept(l, NULL, NULL);
}

static const struct kind {
	const char *name;
	long (*call)(void);
} kinds[] = {
	{ "read", in_read },
	{ "recv", in_recv },
	{ "recv with a timeout", in_recv_timeout },
	{ "nanosleep", in_nanosleep },
	{ "poll", in_poll },
	{ "ppoll", in_ppoll },
	{ "select", in_select },
	{ "epoll_wait", in_epoll_wait },
	{ "epoll_wait with a timeout", in_epoll_wait_timeout },
	{ "sigwaitinfo", in_sigwaitinfo },
	{ "semop", in_semop },
	{ "cond_wait", in_cond_wait },
	{ "sem_wait", in_sem_wait },
	{ "accept", in_accept },
};

static void *blocked(void *arg)
{
	const struct kind *k = (const struct kind *)arg;

	__sync_fetch_and_add(&entered, 1);
	k->call();
	broken = k->name; // none of them ends by itself
	return NULL;
}

static NOINLINE const char *mark(void)
{
	return "!";
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "start")) {
		pipe(pipefd);
		socketpair(AF_UNIX, SOCK_STREAM, 0, sock);
		socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
			pthread_t t;

			pthread_create(&t, NULL, blocked, (void *)&kinds[i]);
		}
		while (entered < (int)(sizeof(kinds) / sizeof(kinds[0])))
			usleep(1000);
	}
	usleep(50000);
	reply("broken %s%s", broken, mark());
}
