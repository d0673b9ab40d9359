// SPDX-License-Identifier: LGPL-2.1-or-later
// Handlers with flags and masks, pending signals with values, interval timers, POSIX timers with their ids, and a signal
// that is being handled on an alternate stack.
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "tests/victims/self.h"

enum { QUEUED = 3, ALTSTACK = 65536, TICK_MS = 20, HOUR = 3600 };

static volatile uint64_t ticks, asked, left_handler;
static pthread_t handling;
static timer_t ticking, far, threads_own;
static volatile bool handler_wrong, thread_wrong;
static char *altstack;
static pthread_t directed; // thread with signals of its own
static volatile uint64_t directed_asked, directed_done;
static volatile int directed_wrong;
static volatile pid_t directed_tid;
static pthread_barrier_t started;

static void nap(void)
{
	nanosleep(&(struct timespec){0, 5000000}, NULL);
}

static void on_tick(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	if (info->si_code == SI_TIMER && info->si_value.sival_int == 4711)
		ticks++;
}

// Stays on the alternate stack until the next question, then goes back to what it interrupted.
static void on_usr2(int sig, siginfo_t *info, void *context)
{
	uint64_t seen = asked;
	sigset_t now;

	(void)sig, (void)info, (void)context;
	while (asked == seen)
		nap();
	sigprocmask(SIG_BLOCK, NULL, &now);
	if ((char *)&seen < altstack || (char *)&seen >= altstack + ALTSTACK ||
	    !sigismember(&now, SIGHUP) || !sigismember(&now, SIGUSR2))
		handler_wrong = true;
}

static void *handle(void *arg)
{
	stack_t st = {.ss_sp = altstack, .ss_size = ALTSTACK};
	sigset_t now;

	(void)arg;
	sigaltstack(&st, NULL);
	pthread_barrier_wait(&started);
	for (uint64_t i = 1;; i++) {
		volatile uint64_t own = i * 3;

		raise(SIGUSR2);
		pthread_sigmask(SIG_BLOCK, NULL, &now);
		if (own != i * 3 || sigismember(&now, SIGHUP) || sigismember(&now, SIGUSR2))
			thread_wrong = true;
		left_handler = i;
	}
	return NULL;
}

static void queue_process(void)
{
	for (int i = 0; i < QUEUED; i++)
		sigqueue(getpid(), SIGRTMIN + 3, (union sigval){.sival_int = 100 + i});
}

static int take(int sig, int value)
{
	sigset_t set;
	siginfo_t info;

	sigemptyset(&set);
	sigaddset(&set, sig);
	if (sigtimedwait(&set, &info, &(struct timespec){0}) != sig)
		return 1;
	return info.si_code != SI_QUEUE || info.si_value.sival_int != value ||
	       info.si_pid != getpid() || info.si_uid != getuid();
}

static void queue_directed(void)
{
	pthread_sigqueue(pthread_self(), SIGRTMIN + 4, (union sigval){.sival_int = 7});
	pthread_sigqueue(pthread_self(), SIGRTMIN + 4, (union sigval){.sival_int = 8});
	raise(SIGHUP);
}

static void *be_directed(void *arg)
{
	sigset_t set;

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 4);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	directed_tid = (pid_t)syscall(SYS_gettid);
	queue_directed();
	pthread_barrier_wait(&started);
	for (;;) {
		while (directed_done == directed_asked)
			nap();
		siginfo_t info;
		sigset_t hup;
		sigemptyset(&hup);
		sigaddset(&hup, SIGHUP);
		if (take(SIGRTMIN + 4, 7))
			directed_wrong = 1;
		else if (take(SIGRTMIN + 4, 8))
			directed_wrong = 2;
		else if (!take(SIGRTMIN + 4, 9))
			directed_wrong = 3;
		// Not by the C library, which makes SI_USER of SI_TKILL.
		else if (syscall(SYS_rt_sigtimedwait, &hup, &info, &(struct timespec){0},
				 8) != SIGHUP ||
			 info.si_code != SI_TKILL)
			directed_wrong = 4;
		queue_directed();
		directed_done = directed_asked;
	}
	return NULL;
}

static void check_pending(void)
{
	for (int i = 0; i < QUEUED; i++)
		expect(!take(SIGRTMIN + 3, 100 + i), "pending signal %d is another", i);
	expect(take(SIGRTMIN + 3, 0), "more signals are pending than were sent");
	queue_process();
	directed_asked++;
	while (directed_done != directed_asked)
		nap();
	expect(!directed_wrong, "pending signals of a thread: %d", directed_wrong);
}

static void check_handlers(void)
{
	struct sigaction a;

	sigaction(SIGUSR2, NULL, &a);
	expect(a.sa_sigaction == on_usr2 &&
		       (a.sa_flags & ~0x04000000) ==
			       (SA_SIGINFO | SA_ONSTACK | SA_RESTART) &&
		       sigismember(&a.sa_mask, SIGHUP) && !sigismember(&a.sa_mask, SIGINT),
	       "handler of SIGUSR2: flags %x", (unsigned)a.sa_flags);
	sigaction(SIGPIPE, NULL, &a);
	expect(a.sa_handler == SIG_IGN, "SIGPIPE is not ignored");
	sigaction(SIGCHLD, NULL, &a);
	expect(a.sa_handler == SIG_DFL && a.sa_flags & SA_NOCLDWAIT, "flags of SIGCHLD");
	sigaction(SIGTERM, NULL, &a);
	expect(a.sa_handler == SIG_DFL, "SIGTERM has a handler");
	uint64_t before = left_handler;
	asked++;
	while (left_handler == before)
		nap();
	expect(!handler_wrong, "the handler ran on another stack or with another mask");
	expect(!thread_wrong, "what was interrupted by the handler changed");
}

static void check_itimer(int which, const char *name)
{
	struct itimerval v;

	getitimer(which, &v);
	expect(v.it_interval.tv_sec == 77 + which && v.it_value.tv_sec > HOUR / 2 &&
		       v.it_value.tv_sec <= HOUR,
	       "%s timer: %ld s left, interval %ld", name, (long)v.it_value.tv_sec,
	       (long)v.it_interval.tv_sec);
}

static void check_timers(void)
{
	struct itimerspec v = {0};
	uint64_t before = ticks;

	check_itimer(ITIMER_REAL, "real");
	check_itimer(ITIMER_VIRTUAL, "virtual");
	check_itimer(ITIMER_PROF, "profile");
	while (ticks < before + 2)
		nap();
	expect(!timer_gettime(far, &v), "timer %ld: %m", (long)(intptr_t)far);
	expect(v.it_value.tv_sec > HOUR / 2 && v.it_value.tv_sec <= HOUR &&
		       v.it_interval.tv_nsec == 5,
	       "timer %ld: %ld s left", (long)(intptr_t)far, (long)v.it_value.tv_sec);
	expect(!timer_gettime(threads_own, &v) && v.it_value.tv_sec > HOUR / 2,
	       "timer %ld of a thread: %m", (long)(intptr_t)threads_own);
}

static timer_t make_timer(int clock, int notify, int sig, int value, pid_t tid)
{
	struct sigevent e = {.sigev_notify = notify, .sigev_signo = sig};
	timer_t t = 0;

	e.sigev_value.sival_int = value;
	e._sigev_un._tid = tid;
	must(timer_create(clock, &e, &t));
	return t;
}

static void set_timers(void)
{
	timer_t gone[2];
	struct itimerval v = {{77, 0}, {HOUR, 0}};
	struct itimerspec tick = {{0, TICK_MS * 1000000}, {0, TICK_MS * 1000000}};
	struct itimerspec later = {{0, 5}, {HOUR, 0}};

	setitimer(ITIMER_REAL, &v, NULL);
	v.it_interval.tv_sec++;
	setitimer(ITIMER_VIRTUAL, &v, NULL);
	v.it_interval.tv_sec++;
	setitimer(ITIMER_PROF, &v, NULL);
	gone[0] = make_timer(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, 0);
	ticking = make_timer(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 5, 4711, 0);
	gone[1] = make_timer(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, 0);
	far = make_timer(CLOCK_REALTIME, SIGEV_NONE, 0, 0, 0);
	threads_own = make_timer(CLOCK_PROCESS_CPUTIME_ID, SIGEV_THREAD_ID, SIGRTMIN + 6, 1,
				 directed_tid);
	timer_delete(gone[0]);
	timer_delete(gone[1]);
	must(timer_settime(ticking, 0, &tick, NULL));
	must(timer_settime(far, 0, &later, NULL));
	must(timer_settime(threads_own, 0, &later, NULL));
}

static void check(void)
{
	check_handlers();
	check_pending();
	check_timers();
}

int main(void)
{
	struct sigaction usr2 = {.sa_sigaction = on_usr2,
				 .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
	struct sigaction tick = {.sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct sigaction chld = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
	sigset_t queued;

	self_block();
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGCHLD, &chld, NULL);
	sigaddset(&usr2.sa_mask, SIGHUP);
	sigaction(SIGUSR2, &usr2, NULL);
	sigaction(SIGRTMIN + 5, &tick, NULL);
	sigemptyset(&queued);
	sigaddset(&queued, SIGRTMIN + 3);
	sigprocmask(SIG_BLOCK, &queued, NULL);
	altstack = malloc(ALTSTACK);
	pthread_barrier_init(&started, NULL, 3);
	must(-pthread_create(&handling, NULL, handle, NULL));
	must(-pthread_create(&directed, NULL, be_directed, NULL));
	pthread_barrier_wait(&started);
	queue_process();
	set_timers();
	self_run(check);
}
