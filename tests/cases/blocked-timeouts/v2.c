// SPDX-License-Identifier: LGPL-2.1-or-later
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "victim.h"

// How late a call may end for want of a processor, and how early by the clock's grain.
enum { TIMEOUT_MS = 2500, SLACK_MS = 600, GRAIN_MS = 3 };

static char wrong[100] = "none";
static volatile int entered, ended;
static int sem, silent[2];
static struct timespec span = { TIMEOUT_MS / 1000, TIMEOUT_MS % 1000 * 1000000 };

static void remove_ipc(void)
{
	semctl(sem, 0, IPC_RMID);
}

static struct timespec deadline(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	t.tv_sec += span.tv_sec;
	t.tv_nsec += span.tv_nsec;
	if (t.tv_nsec >= 1000000000)
		t.tv_sec++, t.tv_nsec -= 1000000000;
	return t;
}

static int in_nanosleep(void)
{
	return nanosleep(&span, NULL);
}

static int in_clock_nanosleep(void)
{
	struct timespec t = deadline(CLOCK_MONOTONIC);

	return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static int in_poll(void)
{
	struct pollfd p = { silent[0], POLLIN, 0 };

	return poll(&p, 1, TIMEOUT_MS);
}

static int in_ppoll(void)
{
	struct pollfd p = { silent[0], POLLIN, 0 };

	return ppoll(&p, 1, &span, NULL);
}

static int in_select(void)
{
	struct timeval t = { TIMEOUT_MS / 1000, TIMEOUT_MS % 1000 * 1000 };
	fd_set s;

	FD_ZERO(&s);
	FD_SET(silent[0], &s);
	return select(silent[0] + 1, &s, NULL, NULL, &t);
}

static int in_pselect(void)
{
	fd_set s;

	FD_ZERO(&s);
	FD_SET(silent[0], &s);
	return pselect(silent[0] + 1, &s, NULL, NULL, &span, NULL);
}

static int in_futex(void)
{
	static int word;

	return (int)syscall(SYS_futex, &word, FUTEX_WAIT, 0, &span, NULL, 0) < 0 && errno == ETIMEDOUT ? 0 : -1;
}

static int in_cond_timedwait(void)
{
	static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
	static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	struct timespec t = deadline(CLOCK_REALTIME);

	pthread_mutex_lock(&m);
	int r = pthread_cond_timedwait(&c, &m, &t);
	pthread_mutex_unlock(&m);
	return r == ETIMEDOUT ? 0 : -1;
}

static int in_sem_timedwait(void)
{
	struct timespec t = deadline(CLOCK_REALTIME);
	static sem_t s;

	return sem_timedwait(&s, &t) < 0 && errno == ETIMEDOUT ? 0 : -1;
}

static int in_epoll_wait(void)
{
	struct epoll_event e;

	return epoll_wait(epoll_create1(0), &e, 1, TIMEOUT_MS);
}

static int in_epoll_pwait2(void)
{
	struct epoll_event e;

	return epoll_pwait2(epoll_create1(0), &e, 1, &span, NULL);
}

static int in_sigtimedwait(void)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, SIGUSR2);
	return sigtimedwait(&s, NULL, &span) < 0 && errno == EAGAIN ? 0 : -1;
}

static int in_semtimedop(void)
{
	struct sembuf b = { 0, -1, 0 };

	return semtimedop(sem, &b, 1, &span) < 0 && errno == EAGAIN ? 0 : -1;
}

static int in_recv_timeout(void)
{
	struct timeval t = { TIMEOUT_MS / 1000, TIMEOUT_MS % 1000 * 1000 };
	int s[2];
	char c;

	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	return recv(s[0], &c, 1, 0) < 0 && errno == EAGAIN ? 0 : -1;
}

static const struct kind {
	const char *name;
	int (*call)(void);
	int exact; // the kernel keeps the time; the others have only their length, and start again with it
} kinds[] = {
	{ "nanosleep", in_nanosleep, 1 },
	{ "clock_nanosleep", in_clock_nanosleep, 1 },
	{ "poll", in_poll, 1 },
	{ "ppoll", in_ppoll, 1 },
	{ "select", in_select, 1 },
	{ "pselect", in_pselect, 1 },
	{ "futex", in_futex, 1 },
	{ "cond_timedwait", in_cond_timedwait, 1 },
	{ "sem_timedwait", in_sem_timedwait, 1 },
	{ "epoll_wait", in_epoll_wait, 0 },
	{ "epoll_pwait2", in_epoll_pwait2, 0 },
	{ "sigtimedwait", in_sigtimedwait, 0 },
	{ "semtimedop", in_semtimedop, 0 },
	{ "recv with a timeout", in_recv_timeout, 0 },
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void *timed(void *arg)
{
	const struct kind *k = (const struct kind *)arg;

	__sync_fetch_and_add(&entered, 1);
	double start = now_ms();
	int result = k->call();
	double took = now_ms() - start;

	if (result || took < TIMEOUT_MS - GRAIN_MS || took > TIMEOUT_MS * (k->exact ? 1 : 2) + SLACK_MS)
		snprintf(wrong, sizeof(wrong), "%s: result %d after %.0f ms", k->name, result, took);
	__sync_fetch_and_add(&ended, 1);
	return NULL;
}

static NOINLINE const char *mark(void)
{
	return "!";
}

NOINLINE void handle(const char *cmd, char *out, int size)
{
	if (is(cmd, "start")) {
		if (!sem) {
			pipe(silent);
			sem = semget(IPC_PRIVATE, 1, 0600);
			atexit(remove_ipc);
		}
		entered = ended = 0;
		for (int i = 0; i < KINDS; i++) {
			pthread_t t;

			pthread_create(&t, NULL, timed, (void *)&kinds[i]);
			pthread_detach(t);
		}
		while (entered < KINDS)
			usleep(1000);
		reply("started");
		return;
	}
	while (ended < KINDS)
		usleep(1000);
	reply("wrong %s%s", wrong, mark());
}
