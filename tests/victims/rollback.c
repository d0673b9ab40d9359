// SPDX-License-Identifier: LGPL-2.1-or-later
// For rollbacks: at SIGUSR2 it changes everything it has, at SIGUSR1 it says whether all is as it was set up. How often it
// was disturbed stands in a file, for memory forgets.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>

#include "tests/victims/self.h"

enum { PAGE = 4096, BIG = 8 << 20, SMALL = 16 * PAGE, WORKERS = 3, HOUR = 3600 };

static uint8_t *big, *gone, *readonly, *closed, *of_file, *new_map;
static char *heap_end;
static int fd_file, fd_gone, fd_dup, fd_event, fd_epoll, fd_timer, fd_pipe[2], fd_null;
static int fd_new = -1, fd_event2 = -1;
static timer_t timer;
static char cwd[4096];
static volatile sig_atomic_t hangups;
static uint8_t altstack[1 << 16], otherstack[1 << 16];

// Threads: each waits for its turn, does one step and says so.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_t ids[WORKERS + 1];
static uint64_t turn, steps[WORKERS + 1];
static bool leave[WORKERS + 1];
static pid_t tids[WORKERS + 1];
static _Thread_local uint64_t own;

static void *worker(void *arg)
{
	size_t me = (size_t)arg;
	volatile double sum = 1;
	char name[16];

	tids[me] = (pid_t)syscall(SYS_gettid);
	snprintf(name, sizeof(name), "worker-%zu", me);
	pthread_setname_np(pthread_self(), name);
	pthread_mutex_lock(&lock);
	for (uint64_t seen = 0; !leave[me];) {
		pthread_cond_broadcast(&changed);
		while (turn == seen && !leave[me])
			pthread_cond_wait(&changed, &lock);
		seen = turn;
		sum += 0.5;
		steps[me]++;
		if (++own != steps[me] || (pid_t)syscall(SYS_gettid) != tids[me] ||
		    sum < 1 + 0.49 * (double)own)
			steps[me] = UINT64_MAX / 2;
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void hangup(int sig)
{
	(void)sig;
	hangups++;
}

static void fill(uint8_t *at, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)(i * 31 + i / PAGE * 7 + seed);
}

static bool is_filled(const uint8_t *at, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		if (at[i] != (uint8_t)(i * 31 + i / PAGE * 7 + seed))
			return false;
	return true;
}

static uint8_t *map(size_t len, int prot, int fd)
{
	return must(mmap(NULL, len, prot, MAP_PRIVATE | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0));
}

static void set_up_memory(void)
{
	int fd = must(open("mapped", O_RDWR | O_CREAT | O_TRUNC, 0600));

	big = map(BIG, PROT_READ | PROT_WRITE, -1);
	fill(big, BIG / 2, 1); // the rest stays untouched
	gone = map(SMALL, PROT_READ | PROT_WRITE, -1);
	fill(gone, SMALL, 2);
	readonly = map(SMALL, PROT_READ | PROT_WRITE, -1);
	fill(readonly, SMALL, 3);
	must(mprotect(readonly, SMALL, PROT_READ));
	closed = map(SMALL, PROT_READ | PROT_WRITE, -1);
	fill(closed, SMALL, 4);
	must(mprotect(closed, SMALL, PROT_NONE));
	must(ftruncate(fd, SMALL));
	of_file = map(SMALL, PROT_READ | PROT_WRITE, fd);
	fill(of_file + PAGE, PAGE, 5);
	close(fd);
	heap_end = must(sbrk(1 << 20));
	memset(heap_end, 0x5a, 1 << 20);
	heap_end += 1 << 20;
}

static void check_memory(void)
{
	expect(is_filled(big, BIG / 2, 1), "big memory has other bytes");
	for (size_t i = BIG / 2; i < BIG; i++)
		expect(!big[i], "untouched memory is not zero");
	expect(is_filled(gone, SMALL, 2), "memory that was unmapped has other bytes");
	expect(is_filled(readonly, SMALL, 3), "read-only memory has other bytes");
	must(mprotect(closed, SMALL, PROT_READ));
	expect(is_filled(closed, SMALL, 4), "closed memory has other bytes");
	must(mprotect(closed, SMALL, PROT_NONE));
	expect(is_filled(of_file + PAGE, PAGE, 5) && !of_file[0] && !of_file[2 * PAGE],
	       "memory of a file has other bytes");
	int fd[2];
	must(pipe2(fd, O_CLOEXEC));
	expect(write(fd[1], closed, 1) < 0 && errno == EFAULT, "closed memory is open");
	expect(read(fd[0], readonly, 0) == 0, "a pipe is broken");
	close(fd[0]);
	close(fd[1]);
	expect(sbrk(0) == heap_end, "the heap ends elsewhere");
	for (size_t i = 1; i <= 1 << 20; i++)
		expect(heap_end[-(ssize_t)i] == 0x5a, "the heap has other bytes");
	expect(!new_map, "memory knows of a new mapping");
}

static void disturb_memory(unsigned n)
{
	for (size_t i = 0; i < BIG; i += (n % 3 + 1) * 3 * PAGE)
		big[i + n % PAGE] ^= 0x55;
	if (n % 4 == 3)
		must(madvise(big, BIG / 4, MADV_DONTNEED));
	must(munmap(gone, SMALL));
	if (n % 2) { // something else is there
		must(mmap(gone, SMALL, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
		memset(gone, 7, SMALL);
	}
	must(mprotect(readonly, SMALL, PROT_READ | PROT_WRITE));
	memset(readonly, 8, SMALL);
	if (n % 2)
		must(mprotect(readonly, SMALL, PROT_READ));
	must(mprotect(closed, SMALL, PROT_READ | PROT_WRITE));
	memset(closed, 9, PAGE);
	if (n % 2)
		must(mprotect(closed, SMALL, PROT_NONE));
	memset(of_file, 10, 2 * PAGE);
	if (n % 5 == 1)
		must(munmap(of_file, SMALL));
	must(sbrk(n % 2 ? 3 << 20 : -(1 << 19)));
	new_map = map(SMALL, PROT_READ | PROT_WRITE, -1);
	memset(new_map, 11, SMALL);
}

static void set_up_files(void)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = 77};
	struct itimerspec it = {.it_value = {HOUR, 0}};

	fd_file = must(open("file", O_RDWR | O_CREAT | O_TRUNC, 0600));
	must(write(fd_file, "0123456789", 10));
	must(lseek(fd_file, 4, SEEK_SET));
	fd_gone = must(open("file", O_RDONLY | O_CLOEXEC));
	must(lseek(fd_gone, 7, SEEK_SET));
	fd_dup = must(dup(fd_file));
	fd_null = must(open("/dev/null", O_RDWR));
	fd_event = must(eventfd(5, EFD_NONBLOCK));
	must(pipe(fd_pipe));
	fd_epoll = must(epoll_create1(0));
	must(epoll_ctl(fd_epoll, EPOLL_CTL_ADD, fd_event, &e));
	e.data.u64 = 78;
	must(epoll_ctl(fd_epoll, EPOLL_CTL_ADD, fd_pipe[0], &e));
	fd_timer = must(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	must(timerfd_settime(fd_timer, 0, &it, NULL));
}

static void check_files(void)
{
	struct epoll_event e[4] = {0};
	struct itimerspec it;
	uint64_t count = 0;
	char c = 0;

	expect(lseek(fd_file, 0, SEEK_CUR) == 4, "a file's offset is %ld",
	       (long)lseek(fd_file, 0, SEEK_CUR));
	expect(lseek(fd_gone, 0, SEEK_CUR) == 7, "a closed file's offset is %ld",
	       (long)lseek(fd_gone, 0, SEEK_CUR));
	expect(pread(fd_gone, &c, 1, 7) == 1 && c == '7', "a closed file is another");
	expect(fcntl(fd_gone, F_GETFD) == FD_CLOEXEC, "close-on-exec is lost");
	must(lseek(fd_dup, 5, SEEK_SET));
	expect(lseek(fd_file, 0, SEEK_CUR) == 5, "two descriptors are not one file");
	must(lseek(fd_dup, 4, SEEK_SET));
	expect(!(fcntl(fd_file, F_GETFL) & O_APPEND), "a file has O_APPEND");
	expect(write(fd_null, "x", 1) == 1, "/dev/null is something else");
	expect(read(fd_event, &count, sizeof(count)) == sizeof(count) && count == 5,
	       "an eventfd has %lu", (unsigned long)count);
	count = 5;
	expect(write(fd_event, &count, sizeof(count)) == sizeof(count), "an eventfd");
	int n = epoll_wait(fd_epoll, e, 4, 0);
	expect(n == 1 && e[0].data.u64 == 77, "epoll: %d events, %lu", n,
	       (unsigned long)e[0].data.u64);
	expect(write(fd_pipe[1], "p", 1) == 1, "a pipe");
	n = epoll_wait(fd_epoll, e, 4, 0);
	expect(n == 2, "epoll: %d events with a pipe", n);
	expect(read(fd_pipe[0], &c, 1) == 1 && c == 'p', "a pipe has '%c'", c);
	must(timerfd_gettime(fd_timer, &it));
	expect(it.it_value.tv_sec > HOUR / 2, "a timerfd is not armed");
	expect(fd_new < 0 && fd_event2 < 0, "memory knows of new descriptors");
	expect(fcntl(fd_timer + 1, F_GETFD) < 0, "a new descriptor is still there");
}

static void disturb_files(unsigned n)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.u64 = 99};
	struct itimerspec none = {0};
	uint64_t count;
	char c[3];

	must(read(fd_file, c, 3));
	must(fcntl(fd_file, F_SETFL, O_APPEND));
	close(fd_gone);
	if (n % 2) // something else has its number
		must(dup2(fd_null, fd_gone));
	int other = must(open("file", O_RDONLY)); // stays open
	must(dup2(other, fd_dup));
	fd_new = must(open("/dev/zero", O_RDONLY));
	must(read(fd_event, &count, sizeof(count)));
	if (n % 3)
		must(write(fd_event, &(uint64_t){n}, sizeof(count)));
	fd_event2 = must(eventfd(1, 0));
	must(epoll_ctl(fd_epoll, EPOLL_CTL_ADD, fd_event2, &e));
	must(epoll_ctl(fd_epoll, EPOLL_CTL_MOD, fd_event, &e));
	must(epoll_ctl(fd_epoll, EPOLL_CTL_DEL, fd_pipe[0], NULL));
	must(timerfd_settime(fd_timer, 0, &none, NULL));
}

static void set_up_rest(void)
{
	struct itimerval real = {.it_value = {HOUR, 0}};
	struct itimerspec it = {.it_value = {HOUR, 0}};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL,
			      .sigev_signo = SIGRTMIN + 1,
			      .sigev_value.sival_int = 4711};
	struct sigaction sa = {.sa_handler = hangup, .sa_flags = SA_RESTART};
	stack_t st = {.ss_sp = altstack, .ss_size = sizeof(altstack)};
	sigset_t set;

	must(sigaction(SIGHUP, &sa, NULL));
	signal(SIGTERM, SIG_IGN);
	must(sigaltstack(&st, NULL));
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	must(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 42}));
	must(setitimer(ITIMER_REAL, &real, NULL));
	must(timer_create(CLOCK_MONOTONIC, &ev, &timer));
	must(timer_settime(timer, 0, &it, NULL));
	umask(027);
	must(prctl(PR_SET_NAME, "as-set-up"));
	must(getcwd(cwd, sizeof(cwd)) ? 0 : -1);
}

static void check_rest(void)
{
	struct itimerval real;
	struct itimerspec it;
	struct sigaction sa;
	struct rlimit limit;
	siginfo_t info = {0};
	stack_t st;
	sigset_t set;
	char text[4096];

	must(sigaction(SIGTERM, NULL, &sa));
	expect(sa.sa_handler == SIG_IGN, "SIGTERM has another handler");
	int before = hangups;
	raise(SIGHUP);
	expect(hangups == before + 1, "SIGHUP has another handler");
	hangups = before;
	must(sigaltstack(NULL, &st));
	expect(st.ss_sp == altstack && !(st.ss_flags & SS_DISABLE), "another alternate stack");
	sigprocmask(SIG_BLOCK, NULL, &set);
	expect(sigismember(&set, SIGRTMIN) && !sigismember(&set, SIGQUIT), "another mask");
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	expect(sigtimedwait(&set, &info, &(struct timespec){0}) == SIGRTMIN &&
		       info.si_value.sival_int == 42,
	       "no pending signal, or another");
	while (sigtimedwait(&set, &info, &(struct timespec){0}) > 0)
		;
	must(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 42}));
	must(getitimer(ITIMER_REAL, &real));
	expect(real.it_value.tv_sec > HOUR / 2, "the interval timer is not armed");
	expect(!timer_gettime(timer, &it) && it.it_value.tv_sec > HOUR / 2,
	       "the timer is not armed");
	mode_t mask = umask(027);
	expect(mask == 027, "umask %o", mask);
	prctl(PR_GET_NAME, text);
	expect(!strcmp(text, "as-set-up"), "the name is %s", text);
	expect(getcwd(text, sizeof(text)) && !strcmp(text, cwd), "the folder is %s", text);
	must(getrlimit(RLIMIT_NOFILE, &limit));
	expect(limit.rlim_cur > 100, "limit %lu", (unsigned long)limit.rlim_cur);
}

static void disturb_rest(unsigned n)
{
	struct itimerval none = {0};
	struct rlimit limit;
	stack_t st = {.ss_sp = otherstack, .ss_size = sizeof(otherstack)};
	siginfo_t info;
	sigset_t set;

	signal(SIGHUP, SIG_IGN);
	signal(SIGTERM, hangup);
	must(sigaltstack(&st, NULL));
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	while (sigtimedwait(&set, &info, &(struct timespec){0}) > 0)
		;
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	sigaddset(&set, SIGQUIT);
	sigdelset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	must(setitimer(ITIMER_REAL, &none, NULL));
	if (n % 2)
		must(timer_delete(timer));
	struct sigevent ev = {.sigev_notify = SIGEV_NONE};
	must(timer_create(CLOCK_REALTIME, &ev, &timer));
	umask(0);
	must(prctl(PR_SET_NAME, "disturbed"));
	must(chdir("/"));
	must(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = 64;
	must(setrlimit(RLIMIT_NOFILE, &limit));
}

static void one_turn(size_t n)
{
	uint64_t before[WORKERS + 1];

	pthread_mutex_lock(&lock);
	memcpy(before, steps, sizeof(before));
	turn++;
	pthread_cond_broadcast(&changed);
	for (size_t i = 0; i < n; i++)
		while (steps[i] < before[i] + 1)
			pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static void start_worker(size_t i)
{
	leave[i] = false;
	pthread_mutex_lock(&lock);
	tids[i] = 0;
	must(pthread_create(&ids[i], NULL, worker, (void *)i) ? -1 : 0);
	while (!tids[i])
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static void check_threads(void)
{
	char path[64], text[16] = "";

	one_turn(WORKERS);
	for (size_t i = 0; i < WORKERS; i++) {
		expect(steps[i] < UINT64_MAX / 2, "worker %zu is another thread", i);
		snprintf(path, sizeof(path), "/proc/self/task/%d/comm", tids[i]);
		FILE *f = fopen(path, "r");
		expect(f && fgets(text, sizeof(text), f) && !strncmp(text, "worker-", 7),
		       "worker %zu is called '%s'", i, text);
		if (f)
			fclose(f);
	}
	expect(!tids[WORKERS], "memory knows of a new thread");
	struct stat st;
	must(stat("/proc/self/task", &st));
	expect(st.st_nlink == 2 + 1 + WORKERS, "there are %lu threads",
	       (unsigned long)st.st_nlink - 2);
}

static void end_worker(size_t i)
{
	pthread_mutex_lock(&lock);
	leave[i] = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	must(pthread_join(ids[i], NULL) ? -1 : 0);
}

static void disturb_threads(unsigned n)
{
	one_turn(WORKERS);
	if (n % 3)
		end_worker(n % 2);
	start_worker(WORKERS);
}

static unsigned count_disturbances(void)
{
	unsigned n = 0;
	char path[4200];

	snprintf(path, sizeof(path), "%s/disturbances", cwd);
	FILE *f = fopen(path, "r");
	if (f && fscanf(f, "%u", &n) != 1)
		n = 0;
	if (f)
		fclose(f);
	f = fopen(path, "w");
	fprintf(f, "%u\n", n + 1);
	fclose(f);
	return n;
}

static void disturb(void)
{
	if (new_map) // a rollback that was not made
		return;
	unsigned n = count_disturbances();

	disturb_threads(n);
	disturb_files(n);
	disturb_memory(n);
	disturb_rest(n);
}

static bool is_disturbed(void)
{
	char text[4096];

	if (!new_map)
		return false;
	expect(new_map[0] == 11 && new_map[SMALL - 1] == 11, "the new mapping has other bytes");
	expect(readonly[SMALL - 1] == 8, "read-only memory has other bytes");
	expect(fd_new >= 0 && fcntl(fd_new, F_GETFD) >= 0, "a new descriptor is gone");
	expect(getcwd(text, sizeof(text)) && !strcmp(text, "/"), "the folder is %s", text);
	prctl(PR_GET_NAME, text);
	expect(!strcmp(text, "disturbed"), "the name is %s", text);
	mode_t mask = umask(0);
	expect(mask == 0, "umask %o", mask);
	expect(tids[WORKERS] > 0, "the new thread is gone");
	uint64_t before = steps[WORKERS];
	pthread_mutex_lock(&lock);
	turn++;
	pthread_cond_broadcast(&changed);
	while (steps[WORKERS] == before)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	return true;
}

static void check(void)
{
	check_memory();
	check_files();
	check_rest();
	check_threads();
}

static void say(const char *text)
{
	char line[600];
	int n = snprintf(line, sizeof(line), "%s\n", text);

	must(write(1, line, (size_t)n));
}

int main(void)
{
	char text[600];
	sigset_t set;

	set_up_rest();
	for (size_t i = 0; i < WORKERS; i++)
		start_worker(i);
	set_up_files();
	set_up_memory();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	say("ready");
	for (;;) {
		int sig = sigwaitinfo(&set, NULL);

		if (sig == SIGUSR2) {
			disturb();
			say("disturbed");
		} else if (sig == SIGUSR1) {
			*self_wrong = '\0';
			bool disturbed = is_disturbed();
			if (!disturbed)
				check();
			snprintf(text, sizeof(text), "wrong: %s", self_wrong);
			say(*self_wrong ? text
			    : disturbed ? "still disturbed"
					: "right");
		}
	}
}
