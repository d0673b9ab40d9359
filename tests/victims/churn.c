// SPDX-License-Identifier: LGPL-2.1-or-later
// Ten threads: computing under a timer signal, making and joining threads, sleeping, waiting for each other.
// Each checks that nothing but time passes while it is stopped.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { COMPUTING = 3, CHURNING = 3, THREADS = 10, ROUNDS = 20000 };

static atomic_bool stop, interrupted;
static atomic_uint bad, ticks;
static atomic_ulong done[THREADS];

static void wrong(const char *what, long value)
{
	if (atomic_fetch_add(&bad, 1) < 10)
		fprintf(stderr, "victim: %s gave %ld (%s)\n", what, value,
			strerror(errno));
}

static void tick(int sig)
{
	(void)sig;
	atomic_fetch_add(&ticks, 1);
}

static __attribute__((noinline)) uint64_t mix(uint64_t seed, double *sum)
{
	uint64_t x = seed, y = ~seed;
	double s = 0;

	for (int i = 0; i < ROUNDS; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		y += x * 0x9e3779b97f4a7c15;
		s += (double)(x & 0xff);
	}
	*sum = s;
	return x ^ y;
}

static void *compute(void *arg)
{
	size_t me = (size_t)arg;
	double sum, first_sum;
	uint64_t first = mix(me + 1, &first_sum);

	while (!stop) {
		if (mix(me + 1, &sum) != first || sum < first_sum || sum > first_sum)
			wrong("compute", (long)me);
		done[me]++;
		nanosleep(&(struct timespec){0, 300000}, NULL);
	}
	return NULL;
}

static void *born(void *arg)
{
	return (char *)arg + 1;
}

static void *churn(void *arg)
{
	size_t me = (size_t)arg;

	while (!stop) {
		pthread_t t;
		void *got = NULL;
		int r = pthread_create(&t, NULL, born, (void *)me);

		if (r) {
			wrong("pthread_create", r);
			break;
		}
		r = pthread_join(t, &got);
		if (r || (size_t)got != me + 1)
			wrong("pthread_join", r);
		done[me]++;
		usleep(200);
	}
	return NULL;
}

static void *sleeper(void *arg)
{
	while (!stop) {
		int r = nanosleep(&(struct timespec){0, 2000000}, NULL);

		if (r)
			wrong("nanosleep", r);
		done[(size_t)arg]++;
	}
	return NULL;
}

static int ep;

static void *poller(void *arg)
{
	struct epoll_event e;

	while (!stop) {
		int r = epoll_wait(ep, &e, 1, 3);

		if (r < 0 && errno == EINTR)
			interrupted = true;
		else if (r)
			wrong("epoll_wait", r);
		done[(size_t)arg]++;
	}
	return NULL;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn = PTHREAD_COND_INITIALIZER;
static int whose;

static void *ping(void *arg)
{
	int me = (size_t)arg & 1;

	pthread_mutex_lock(&lock);
	while (!stop) {
		struct timespec end;

		clock_gettime(CLOCK_REALTIME, &end);
		end.tv_sec += 1;
		while (whose != me && !stop) {
			int r = pthread_cond_timedwait(&turn, &lock, &end);

			if (r && r != ETIMEDOUT)
				wrong("pthread_cond_timedwait", r);
			if (r)
				break;
		}
		whose = !me;
		done[(size_t)arg]++;
		pthread_cond_signal(&turn);
		pthread_mutex_unlock(&lock);
		usleep(500);
		pthread_mutex_lock(&lock);
	}
	pthread_cond_broadcast(&turn);
	pthread_mutex_unlock(&lock);
	return NULL;
}

int main(void)
{
	void *(*const body[THREADS])(void *) = {compute, compute, compute, churn, churn,
						churn,	 sleeper, poller,  ping,  ping};
	pthread_t t[THREADS];
	struct epoll_event e = {.events = EPOLLIN};
	sigset_t alarm;
	char c;

	ep = epoll_create1(0);
	epoll_ctl(ep, EPOLL_CTL_ADD, eventfd(0, 0), &e);

	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm, NULL);
	for (size_t i = 0; i < THREADS; i++) {
		if (i < COMPUTING)
			pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
		pthread_create(&t[i], NULL, body[i], (void *)i);
		pthread_sigmask(SIG_BLOCK, &alarm, NULL);
	}
	sigaction(SIGALRM,
		  &(struct sigaction){.sa_handler = tick, .sa_flags = SA_RESTART}, NULL);
	setitimer(ITIMER_REAL, &(struct itimerval){{0, 2000}, {0, 2000}}, NULL);
	puts("ready");
	fflush(stdout);
	ssize_t r = read(0, &c, 1);
	if (r)
		wrong("read", r);
	stop = true;
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(t[i], NULL);
		if (!done[i])
			wrong("progress of thread", (long)i);
	}
	if (!ticks)
		wrong("timer", 0);
	// EINTR without a signal: allowed only where a tool was killed just when it had stopped the thread.
	return bad ? 1 : interrupted ? 3 : 0;
}
