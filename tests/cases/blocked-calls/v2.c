// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "victim.h"

static const char *volatile broken = "none";
static volatile int entered;
static char text[100];

static int pipefd[2], sock[2], pair[2];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int sem, queue;

static void remove_ipc(void)
{
	semctl(sem, 0, IPC_RMID);
	msgctl(queue, IPC_RMID, NULL);
}

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
	struct sembuf b = { 0, -1, 0 };

	return semop(sem, &b, 1);
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

static long in_clock_nanosleep(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += 600;
	return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static long in_pselect(void)
{
	struct timespec t = { 600, 0 };
	fd_set s;

	FD_ZERO(&s);
	FD_SET(pipefd[0], &s);
	return pselect(pipefd[0] + 1, &s, NULL, NULL, &t, NULL);
}

static long in_epoll_pwait(void)
{
	struct epoll_event e;
	sigset_t s;

	sigemptyset(&s);
	return epoll_pwait(epoll_create1(0), &e, 1, 600000, &s);
}

static long in_epoll_pwait2(void)
{
	struct timespec t = { 600, 0 };
	struct epoll_event e;

	return epoll_pwait2(epoll_create1(0), &e, 1, &t, NULL);
}

static long in_sigtimedwait(void)
{
	struct timespec t = { 600, 0 };
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, SIGUSR2);
	return sigtimedwait(&s, NULL, &t);
}

static long in_semtimedop(void)
{
	struct timespec t = { 600, 0 };
	struct sembuf b = { 0, -1, 0 };

	return semtimedop(sem, &b, 1, &t);
}

static long in_msgrcv(void)
{
	struct { long type; char text[8]; } m;

	return msgrcv(queue, &m, sizeof(m.text), 0, 0);
}

static long in_futex(void)
{
	static int word;
	struct timespec t = { 600, 0 };

	return syscall(SYS_futex, &word, FUTEX_WAIT, 0, &t, NULL, 0);
}

static long in_cond_timedwait(void)
{
	static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
	static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += 600;
	pthread_mutex_lock(&m);
	return pthread_cond_timedwait(&c, &m, &t);
}

static long in_mutex_lock(void)
{
	static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&m);
	return pthread_mutex_lock(&m);
}

static long in_waitpid(void)
{
	pid_t child = fork();

	if (!child) { // as long as the program lives
		char c;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[1]);
		_exit((int)read(pipefd[0], &c, 1));
	}
	return waitpid(child, NULL, 0);
}

static long in_flock(void)
{
	char name[] = "lockXXXXXX";
	int a = mkstemp(name), b = open(name, O_RDWR);

	unlink(name);
	flock(a, LOCK_EX);
	return flock(b, LOCK_EX);
}

static long in_fcntl_lock(void)
{
	char name[] = "lockXXXXXX";
	struct flock l = { .l_type = F_WRLCK };
	int a = mkstemp(name), b = open(name, O_RDWR);

	unlink(name);
	fcntl(a, F_OFD_SETLK, &l);
	return fcntl(b, F_OFD_SETLKW, &l);
}

static long in_open_fifo(void)
{
	mkfifo("fifo", 0600);
	return open("fifo", O_RDONLY);
}

static long in_accept_timeout(void)
{
	int l = socket(AF_INET, SOCK_STREAM, 0);
	struct timeval t = { 600, 0 };

	setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	listen(l, 1);
	return accept(l, NULL, NULL);
}

static long in_recvmsg_timeout(void)
{
	int s[2];
	struct timeval t = { 600, 0 };
	char c;
	struct iovec v = { &c, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	socketpair(AF_UNIX, SOCK_DGRAM, 0, s);
	setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	return recvmsg(s[0], &m, 0);
}

static long in_read_socket_timeout(void)
{
	int s[2];
	struct timeval t = { 600, 0 };
	char c;

	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	return read(s[0], &c, 1);
}

static long in_send_full(void)
{
	static char much[1 << 20];
	struct timeval t = { 600, 0 };
	int s[2];

	socketpair(AF_UNIX, SOCK_DGRAM, 0, s);
	setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
	while (send(s[0], much, 100, MSG_DONTWAIT) > 0)
		;
	return send(s[0], much, 100, 0);
}

static long in_write_pipe(void)
{
	static char much[1 << 16];
	int p[2];

	pipe(p);
	return write(p[1], much, sizeof(much)) < 0 ? -1 : write(p[1], much, 1);
}

static long in_writev(void)
{
	static char much[1 << 16];
	struct iovec v = { much, 1 };
	int p[2];

	pipe(p);
	return write(p[1], much, sizeof(much)) < 0 ? -1 : writev(p[1], &v, 1);
}

static long in_inotify(void)
{
	char buf[256];

	return read(inotify_init(), buf, sizeof(buf));
}

static long in_eventfd(void)
{
	uint64_t n;

	return read(eventfd(0, 0), &n, sizeof(n));
}

static long in_timerfd(void)
{
	uint64_t n;

	return read(timerfd_create(CLOCK_MONOTONIC, 0), &n, sizeof(n));
}

static long in_signalfd(void)
{
	struct signalfd_siginfo i;
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, SIGUSR2);
	return read(signalfd(-1, &s, 0), &i, sizeof(i));
}

static long in_io_getevents(void)
{
	struct timespec t = { 600, 0 };
	aio_context_t c = 0;
	struct io_event e;

	syscall(SYS_io_setup, 4, &c);
	return syscall(SYS_io_getevents, c, 1, 1, &e, &t);
}

static long in_mq_receive(void)
{
	struct mq_attr a = { .mq_maxmsg = 1, .mq_msgsize = 8 };
	char name[32], buf[8];

	snprintf(name, sizeof(name), "/molt-%d", (int)getpid());
	mqd_t q = mq_open(name, O_RDONLY | O_CREAT, 0600, &a);
	if (q < 0) // no mount of it: nothing to wait in
		return in_timerfd();
	mq_unlink(name);
	return mq_receive(q, buf, sizeof(buf), NULL);
}

static long in_pause(void)
{
	return pause();
}

static long in_sigsuspend(void)
{
	sigset_t s;

	sigemptyset(&s);
	return sigsuspend(&s);
}

// In the program itself, so that the program counter moves with the update.
static NOINLINE long in_inline_call(void)
{
	struct timespec t = { 600, 0 };
	long got;

	__asm__ volatile("syscall" : "=a"(got) : "0"(SYS_nanosleep), "D"(&t), "S"(0)
			 : "rcx", "r11", "memory");
	return got;
}

static NOINLINE long in_inline_epoll(void)
{
	int fd = epoll_create1(0);
	struct epoll_event e;
	register long timeout __asm__("r10") = 600000;
	long got;

	__asm__ volatile("syscall" : "=a"(got)
			 : "0"(SYS_epoll_wait), "D"(fd), "S"(&e), "d"(1), "r"(timeout)
			 : "rcx", "r11", "memory");
	// What was handed to the call is as it was.
	return timeout == 600000 ? got : 0;
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
	{ "clock_nanosleep", in_clock_nanosleep },
	{ "pselect", in_pselect },
	{ "epoll_pwait", in_epoll_pwait },
	{ "epoll_pwait2", in_epoll_pwait2 },
	{ "sigtimedwait", in_sigtimedwait },
	{ "semtimedop", in_semtimedop },
	{ "msgrcv", in_msgrcv },
	{ "futex", in_futex },
	{ "cond_timedwait", in_cond_timedwait },
	{ "mutex_lock", in_mutex_lock },
	{ "waitpid", in_waitpid },
	{ "flock", in_flock },
	{ "fcntl lock", in_fcntl_lock },
	{ "open of a FIFO", in_open_fifo },
	{ "accept with a timeout", in_accept_timeout },
	{ "recvmsg with a timeout", in_recvmsg_timeout },
	{ "read with a socket's timeout", in_read_socket_timeout },
	{ "send with a timeout", in_send_full },
	{ "write to a full pipe", in_write_pipe },
	{ "writev to a full pipe", in_writev },
	{ "inotify", in_inotify },
	{ "eventfd", in_eventfd },
	{ "timerfd", in_timerfd },
	{ "signalfd", in_signalfd },
	{ "io_getevents", in_io_getevents },
	{ "mq_receive", in_mq_receive },
	{ "pause", in_pause },
	{ "sigsuspend", in_sigsuspend },
	{ "an inline call", in_inline_call },
	{ "an inline epoll_wait", in_inline_epoll },
};

static void *blocked(void *arg)
{
	const struct kind *k = (const struct kind *)arg;

	__sync_fetch_and_add(&entered, 1);
	errno = 0;
	k->call();
	snprintf(text, sizeof(text), "%s (%d)", k->name, errno);
	broken = text; // none of them ends by itself
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
		sem = semget(IPC_PRIVATE, 1, 0600);
		queue = msgget(IPC_PRIVATE, 0600);
		atexit(remove_ipc);
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
