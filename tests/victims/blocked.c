// SPDX-License-Identifier: LGPL-2.1-or-later
// Ways of blocking with a time limit. Each must end by its limit and not before it, whatever stops come between,
// and never with EINTR. Alone: one thread for each way, all at once. With an argument: the first thread goes
// through all of them again and again, and through a loop that checks its registers, flags and red zone.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
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

static int limit_ms = 400;
static struct timespec limit = {0, 400 * 1000000L};

static struct timespec at(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	t.tv_nsec += limit.tv_nsec;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	return t;
}

// Descriptors of one way, closed when it is over.
static _Thread_local int opened[8];
static _Thread_local int n_opened;

static int keep(int fd)
{
	if (fd >= 0)
		opened[n_opened++] = fd;
	return fd;
}

static void close_opened(void)
{
	while (n_opened)
		close(opened[--n_opened]);
}

static int quiet_pipe(void)
{
	int fd[2];

	if (pipe(fd))
		return -1;
	keep(fd[1]);
	return keep(fd[0]);
}

static int quiet_socket(int type)
{
	int fd = keep(socket(AF_INET, type, 0));
	struct sockaddr_in any = {.sin_family = AF_INET,
				  .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct timeval tv = {0, limit_ms * 1000};

	if (bind(fd, (struct sockaddr *)&any, sizeof(any)))
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	return fd;
}

static int quiet_epoll(void)
{
	struct epoll_event e = {.events = EPOLLIN};
	int ep = keep(epoll_create1(0));

	epoll_ctl(ep, EPOLL_CTL_ADD, quiet_pipe(), &e);
	return ep;
}

// Each gives 0 when it ended as it should, else the errno or -1.
static int b_nanosleep(void)
{
	return nanosleep(&limit, NULL) ? errno : 0;
}

static int b_clock_nanosleep(void)
{
	struct timespec end = at(CLOCK_MONOTONIC);

	return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
}

static int b_poll(void)
{
	struct pollfd p = {quiet_pipe(), POLLIN, 0};

	return poll(&p, 1, limit_ms) ? errno : 0;
}

static int b_ppoll(void)
{
	struct pollfd p = {quiet_pipe(), POLLIN, 0};
	sigset_t none;

	sigemptyset(&none);
	return ppoll(&p, 1, &limit, &none) ? errno : 0;
}

static int b_select(void)
{
	int fd = quiet_pipe();
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	return select(fd + 1, &set, NULL, NULL, &(struct timeval){0, limit_ms * 1000})
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

	return !syscall(SYS_futex, &word, FUTEX_WAIT, 0, &limit) ? -1
	       : errno == ETIMEDOUT				 ? 0
								 : errno;
}

static int b_epoll_wait(void)
{
	struct epoll_event e;

	return epoll_wait(quiet_epoll(), &e, 1, limit_ms) ? errno : 0;
}

static int b_epoll_pwait(void)
{
	struct epoll_event e;
	sigset_t none;

	sigemptyset(&none);
	return epoll_pwait(quiet_epoll(), &e, 1, limit_ms, &none) ? errno : 0;
}

static int b_epoll_pwait2(void)
{
	struct epoll_event e;

	return syscall(441, quiet_epoll(), &e, 1, &limit, NULL, 8) ? errno : 0;
}

static int b_sigtimedwait(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	return sigtimedwait(&set, NULL, &limit) >= 0 ? -1 : errno == EAGAIN ? 0 : errno;
}

static int b_semtimedop(void)
{
	int id = semget(IPC_PRIVATE, 1, 0600), r;
	struct sembuf op = {0, -1, 0};

	r = !semtimedop(id, &op, 1, &limit) ? -1 : errno == EAGAIN ? 0 : errno;
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

static int b_io_getevents(void)
{
	unsigned long ctx = 0;
	long long events[4]; // one struct io_event

	if (syscall(SYS_io_setup, 1, &ctx))
		return nanosleep(&limit, NULL) ? errno : 0; // none here
	long r = syscall(SYS_io_getevents, ctx, 1, 1, events, &limit);
	int error = r < 0 ? errno : r ? -1 : 0;
	syscall(SYS_io_destroy, ctx);
	return error;
}

static int b_io_uring(void)
{
	struct io_uring_params params = {0};
	struct io_uring_getevents_arg arg = {.ts = (uint64_t)(uintptr_t)&limit};
	int fd = keep((int)syscall(SYS_io_uring_setup, 1, &params));

	if (fd < 0)
		return nanosleep(&limit, NULL) ? errno : 0; // none here
	long r = syscall(SYS_io_uring_enter, fd, 0, 1,
			 IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof(arg));
	return r >= 0 ? -1 : errno == ETIME ? 0 : errno;
}

static int late_pipe; // gets a byte at the limit

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
		nanosleep(&limit, NULL);
		return 0; // no message queues here
	}
	mq_unlink(name);
	keep(q);
	return mq_timedreceive(q, buf, sizeof(buf), NULL, &end) >= 0 ? -1
	       : errno == ETIMEDOUT				     ? 0
								     : errno;
}

static const struct kind {
	const char *name;
	int (*run)(void);
	bool ends_with_eintr; // after any stop, by signal(7)
} kinds[] = {
	{"nanosleep", b_nanosleep, false},
	{"clock_nanosleep", b_clock_nanosleep, false},
	{"poll", b_poll, false},
	{"ppoll", b_ppoll, false},
	{"select", b_select, false},
	{"condition", b_cond, false},
	{"semaphore", b_semaphore, false},
	{"futex", b_futex, false},
	{"epoll_wait", b_epoll_wait, true},
	{"epoll_pwait", b_epoll_pwait, true},
	{"epoll_pwait2", b_epoll_pwait2, true},
	{"sigtimedwait", b_sigtimedwait, true},
	{"semtimedop", b_semtimedop, true},
	{"recv", b_recv, true},
	{"recvmsg", b_recvmsg, true},
	{"read_socket", b_read_socket, true},
	{"accept", b_accept, true},
	{"io_getevents", b_io_getevents, true},
	{"io_uring_enter", b_io_uring, true},
	{"read_pipe", b_read_pipe, false},
	{"mq_timedreceive", b_mq, false},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static atomic_uint bad;
static atomic_bool interrupted;

static void *run(void *arg)
{
	const struct kind *k = arg;
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	int r = k->run();
	clock_gettime(CLOCK_MONOTONIC, &b);
	close_opened();
	long ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
	if (r == EINTR && k->ends_with_eintr && limit_ms < 100) {
		interrupted = true;
	} else if (r || ms < limit_ms - 10) {
		// Clocks of the limit and of this check differ by up to a tick.
		fprintf(stderr, "victim: %s after %ld ms: %s\n", k->name, ms,
			r > 0 ? strerror(r) : "result");
		bad++;
	}
	return NULL;
}

// Holds known values in registers, flags and red zone for a while; gives how many were changed.
static long registers(void)
{
	long n = 300000, wrong;

	__asm__ volatile(
		"movq $0x1111, -8(%%rsp)\n\t"
		"movq $0x2222, -128(%%rsp)\n\t"
		"mov $1, %%eax; mov $2, %%ecx; mov $3, %%edx; mov $4, %%esi; mov $5, "
		"%%edi\n\t"
		"mov $6, %%r8d; mov $7, %%r10d; mov $8, %%r11d; mov $9, %%r12d\n\t"
		"xor %[wrong], %[wrong]\n"
		// OF and CF set, ZF clear; lea and jumps leave flags alone.
		"1: mov $0x80, %%r13b; add $0x80, %%r13b; stc\n\t"
		"jnc 2f; jno 2f; jnz 2f\n\t"
		"lea -1(%[n]), %[n]\n\t"
		"jnc 2f; jno 2f; jnz 2f\n\t"
		"test %[n], %[n]; jnz 1b; jmp 3f\n"
		"2: mov $1, %[wrong]\n"
		"3: cmp $1, %%rax; jne 4f; cmp $2, %%rcx; jne 4f; cmp $3, %%rdx; jne "
		"4f\n\t"
		"cmp $4, %%rsi; jne 4f; cmp $5, %%rdi; jne 4f; cmp $6, %%r8; jne 4f\n\t"
		"cmp $7, %%r10; jne 4f; cmp $8, %%r11; jne 4f; cmp $9, %%r12; jne 4f\n\t"
		"cmpq $0x1111, -8(%%rsp); jne 4f; cmpq $0x2222, -128(%%rsp); je 5f\n"
		"4: add $2, %[wrong]\n"
		"5:\n"
		: [n] "+r"(n), [wrong] "=&r"(wrong)
		:
		: "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r10", "r11", "r12", "r13",
		  "cc", "memory");
	return wrong;
}

static bool input_ended(void)
{
	struct pollfd p = {0, POLLIN, 0};

	return poll(&p, 1, 0) == 1;
}

static int go_round(void)
{
	limit_ms = 3;
	limit.tv_nsec = limit_ms * 1000000;
	puts("ready");
	fflush(stdout);
	while (!input_ended()) {
		for (size_t i = 0; i < KINDS; i++) {
			if (kinds[i].run != b_read_pipe)
				run((void *)(uintptr_t)&kinds[i]);
			long r = registers();
			if (r) {
				fprintf(stderr, "victim: registers changed (%ld)\n", r);
				bad++;
			}
		}
	}
	return bad ? 1 : interrupted ? 3 : 0;
}

int main(int argc, char **argv)
{
	pthread_t t[KINDS];
	sigset_t usr2;
	int fd[2];
	char c;

	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &usr2, NULL);
	(void)argv;
	if (argc > 1)
		return go_round();
	if (pipe(fd))
		return 2;
	late_pipe = fd[0];
	for (size_t i = 0; i < KINDS; i++)
		pthread_create(&t[i], NULL, run, (void *)(uintptr_t)&kinds[i]);
	nanosleep(&(struct timespec){0, 50000000}, NULL);
	puts("ready");
	fflush(stdout);
	nanosleep(&limit, NULL);
	if (write(fd[1], "x", 1) != 1)
		return 2;
	for (size_t i = 0; i < KINDS; i++)
		pthread_join(t[i], NULL);
	if (read(0, &c, 1))
		bad++;
	return bad ? 1 : 0;
}
