// SPDX-License-Identifier: LGPL-2.1-or-later
// A master with forked workers that notice any mixture of old and new: under one lock each looks which
// version it is and whether the last one who held the lock was another. After one update there may be one change.
// usage: prefork FILE WORKERS NAP_US UID [f]   f: the workers may not make sockets; built by tests/run-families with -DVERSION=N
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef VERSION
#define VERSION 1
#endif

enum { SLOTS = 16, CHURN_MS = 15 };

// What the test sees; offsets are in run-families.
struct shared {
	// 'f' fork one more worker, 'c' churn, 'e' churn of children that start another program, 'n' no more churn,
	// 'q' quit, 'x' start a program
	atomic_uint command;
	atomic_uint flips, bad, ready;
	struct {
		atomic_int pid;
		atomic_uint version;
		atomic_ulong rounds;
	} slot[SLOTS];
	unsigned last;
	pthread_mutex_t lock;
};

static struct shared *shared;
static int stamp = VERSION; // changes with the code, in the same instant
static unsigned nap_us;
static bool filtered;

__attribute__((noinline)) static unsigned version(void)
{
	if (stamp != VERSION)
		shared->bad++;
	return VERSION;
}

static void nap(unsigned us)
{
	nanosleep(&(struct timespec){.tv_nsec = us * 1000L}, NULL);
}

// Another body in each version, and most of the time is spent in it where nap_us is large.
__attribute__((noinline)) static unsigned work(void)
{
	unsigned v = version();

	nap(nap_us / VERSION);
	for (int i = 1; i < VERSION; i++)
		nap(nap_us / VERSION);
	if (v != version())
		shared->bad++;
	return v;
}

static bool enter(void)
{
	int r = pthread_mutex_lock(&shared->lock);

	if (r == EOWNERDEAD)
		r = pthread_mutex_consistent(&shared->lock);
	return !r;
}

static void compare(void)
{
	if (!enter()) {
		shared->bad++;
		return;
	}
	unsigned v = version();
	if (shared->last && shared->last != v)
		shared->flips++;
	shared->last = v;
	pthread_mutex_unlock(&shared->lock);
}

static void round_of(unsigned slot)
{
	shared->slot[slot].version = work();
	compare();
	shared->slot[slot].rounds++;
	nap(200);
}

static void forbid_sockets(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socketpair, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof(code) / sizeof(code[0]), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		_exit(1);
}

static void worker(unsigned slot, uid_t uid, pid_t master)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (uid && slot % 2 == 0 && (setgid(uid) || setuid(uid)))
		_exit(1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (filtered)
		forbid_sockets();
	shared->slot[slot].pid = getpid();
	while (getppid() == master)
		round_of(slot);
	_exit(0);
}

static void start(unsigned slot, uid_t uid)
{
	pid_t master = getpid(), pid = fork();

	if (!pid)
		worker(slot, uid, master);
	shared->slot[slot].pid = pid;
}

// Short-lived children of the same program.
static void churn(bool exec)
{
	if (fork())
		return;
	for (int i = 0; i < CHURN_MS; i++) {
		compare();
		nap(1000);
	}
	if (exec)
		execl("/bin/sleep", "sleep", "0.02", NULL);
	_exit(0);
}

static void reap(unsigned workers, uid_t uid)
{
	for (pid_t pid; (pid = waitpid(-1, NULL, WNOHANG)) > 0;)
		for (unsigned i = 1; i <= workers; i++)
			if (shared->slot[i].pid == pid)
				start(i, uid);
}

int main(int argc, char **argv)
{
	unsigned workers = argc > 4 ? (unsigned)atoi(argv[2]) : 0;
	int fd = workers ? open(argv[1], O_RDWR) : -1;
	pthread_mutexattr_t attr;

	if (fd < 0 || workers >= SLOTS - 1)
		return 2;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (shared == MAP_FAILED)
		return 2;
	nap_us = (unsigned)atoi(argv[3]);
	filtered = argc > 5;
	uid_t uid = (uid_t)atoi(argv[4]);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&shared->lock, &attr);
	shared->slot[0].pid = getpid();
	for (unsigned i = 1; i <= workers; i++)
		start(i, uid);
	shared->ready = workers;
	unsigned churning = 0;
	for (;;) {
		unsigned c = atomic_exchange(&shared->command, 0);

		round_of(0);
		if (c == 'q')
			break;
		if (c == 'f' && workers + 1 < SLOTS)
			start(++workers, uid);
		if (c == 'x' && !fork())
			execl("/bin/sleep", "sleep", "1000", NULL);
		if (c)
			churning = c == 'c' || c == 'e' ? c : 0;
		if (churning)
			churn(churning == 'e');
		shared->ready = workers;
		reap(workers, uid);
	}
	for (unsigned i = 1; i <= workers; i++)
		kill(shared->slot[i].pid, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	return shared->bad ? 1 : 0;
}
