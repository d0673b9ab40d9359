// SPDX-License-Identifier: LGPL-2.1-or-later
// What each thread has of its own: name, processors, policy, nice, alternate stack, vector registers, control words, rseq,
// robust list, timer slack, thread-local data, and calls with a time limit that nothing may cut short.
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <time.h>

#include "tests/victims/self.h"

enum { THREADS = 8, ALTSTACK = 32768, IOPRIO_IDLE_CLASS = 3 << 13 };
static const long WAIT_NS = 20000000;

struct own {
	int number;
	pid_t tid;
	char name[16];
	cpu_set_t cpus;
	int policy, nice;
	void *altstack;
	unsigned long slack, personality;
	uint64_t robust;
	uint32_t mxcsr;
	uint16_t fcw;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER, recursive, robust;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static uint64_t asked, answered[THREADS];
static char fault[THREADS][200];
static _Thread_local struct own own;
static pthread_t mortal;
static bool mortal_may_end, mortal_ready;

static void note(bool holds, const char *what, long value)
{
	if (!holds && !*fault[own.number])
		snprintf(fault[own.number], sizeof(fault[0]), "thread %d: %s (%ld)",
			 own.number, what, value);
}

// The registers are full while the thread sleeps; the kernel keeps them over a system call.
static bool vectors_kept(uint64_t seed)
{
	uint64_t in[4] = {seed, ~seed, seed * 3, seed ^ 0x5555555555555555}, out[4], low[2];
	struct timespec t = {0, WAIT_NS};
	long ret = 230; // clock_nanosleep
	register uint64_t flags __asm__("rsi") = 0;
	register struct timespec *req __asm__("rdx") = &t;
	register struct timespec *rem __asm__("r10") = NULL;
	register uint64_t clock __asm__("rdi") = 1;

	__asm__ volatile("vmovdqu %[in], %%ymm3\n\t"
			 "vmovdqu %[in], %%ymm13\n\t"
			 "syscall\n\t"
			 "vmovdqu %%ymm3, %[out]\n\t"
			 "vmovq %%xmm13, %[low]\n\t"
			 : "+a"(ret), [out] "=m"(out), [low] "=m"(low)
			 : [in] "m"(in), "r"(clock), "r"(flags), "r"(req), "r"(rem)
			 : "rcx", "r11", "xmm3", "xmm13", "memory");
	note(ret == 0, "a sleep was cut short", ret);
	return !memcmp(in, out, sizeof(in)) && low[0] == in[0];
}

static void set_control_words(void)
{
	own.mxcsr = 0x1f80 | (uint32_t)(own.number % 4) << 13;
	own.fcw = (uint16_t)(0x037f & ~(3 << 10)) | (uint16_t)((own.number + 1) % 4 << 10);
	__asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(own.mxcsr), "m"(own.fcw));
}

static void check_control_words(void)
{
	uint32_t mxcsr;
	uint16_t fcw;

	__asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(fcw));
	note((mxcsr & ~0x3fu) == own.mxcsr, "mxcsr", mxcsr);
	note(fcw == own.fcw, "x87 control word", fcw);
}

static void set_up(int number)
{
	stack_t st = {.ss_size = ALTSTACK, .ss_sp = malloc(ALTSTACK)};
	struct sched_param none = {0};
	cpu_set_t all;
	int cpu = number;

	own.number = number;
	own.tid = (pid_t)syscall(SYS_gettid);
	snprintf(own.name, sizeof(own.name), "worker %d", number);
	prctl(PR_SET_NAME, own.name);
	sched_getaffinity(0, sizeof(all), &all);
	while (!CPU_ISSET(cpu % CPU_SETSIZE, &all))
		cpu++;
	CPU_ZERO(&own.cpus);
	CPU_SET(cpu % CPU_SETSIZE, &own.cpus);
	sched_setaffinity(0, sizeof(own.cpus), &own.cpus);
	own.policy = number % 3 == 1 ? SCHED_BATCH : number % 3 == 2 ? SCHED_IDLE : SCHED_OTHER;
	own.nice = number;
	setpriority(PRIO_PROCESS, (id_t)own.tid, own.nice);
	sched_setscheduler(0, own.policy, &none);
	if (number == 7 && !sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){3}))
		own.policy = SCHED_FIFO;
	own.altstack = st.ss_sp;
	sigaltstack(&st, NULL);
	own.slack = 100000 + (unsigned long)number;
	prctl(PR_SET_TIMERSLACK, own.slack);
	if (own.policy == SCHED_FIFO)
		own.slack = 0;
	own.personality = number == 5 ? ADDR_NO_RANDOMIZE : 0;
	personality(own.personality);
	if (number == 6)
		syscall(SYS_ioprio_set, 1, 0, IOPRIO_IDLE_CLASS);
	size_t size;
	syscall(SYS_get_robust_list, 0, &own.robust, &size);
	set_control_words();
}

static void check_settings(void)
{
	char name[16] = "";
	cpu_set_t cpus;
	stack_t st;
	uint64_t head = 0;
	size_t size;

	prctl(PR_GET_NAME, name);
	note(!strcmp(name, own.name), "name", 0);
	note(syscall(SYS_gettid) == own.tid, "tid", syscall(SYS_gettid));
	sched_getaffinity(0, sizeof(cpus), &cpus);
	note(CPU_EQUAL(&cpus, &own.cpus), "processors", 0);
	note(sched_getscheduler(0) == own.policy, "policy", sched_getscheduler(0));
	note(getpriority(PRIO_PROCESS, (id_t)own.tid) == own.nice, "nice",
	     getpriority(PRIO_PROCESS, (id_t)own.tid));
	struct sched_param param = {0};
	sched_getparam(0, &param);
	note(param.sched_priority == (own.policy == SCHED_FIFO ? 3 : 0), "priority",
	     param.sched_priority);
	sigaltstack(NULL, &st);
	note(st.ss_sp == own.altstack && st.ss_size == ALTSTACK && !st.ss_flags,
	     "alternate stack", st.ss_flags);
	note(!own.slack || prctl(PR_GET_TIMERSLACK) == (int)own.slack, "timer slack",
	     prctl(PR_GET_TIMERSLACK));
	note((unsigned long)personality(0xffffffff) == own.personality, "personality",
	     personality(0xffffffff));
	if (own.number == 6)
		note(syscall(SYS_ioprio_get, 1, 0) == IOPRIO_IDLE_CLASS, "I/O priority",
		     syscall(SYS_ioprio_get, 1, 0));
	syscall(SYS_get_robust_list, 0, &head, &size);
	note(head == own.robust, "robust list", (long)head);
	if (!__rseq_size)
		return;
	// Registered is what cannot be registered again.
	long r = syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, 32, 0,
			 0x53053053);
	note(r == -1 && errno == EBUSY, "rseq is not registered", errno);
}

static void check_waits(void)
{
	static const uint32_t word;
	struct timespec t = {0, WAIT_NS};

	int r = poll(NULL, 0, (int)(WAIT_NS / 1000000));
	note(r == 0, "poll was cut short", errno);
	long f = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0);
	note(f == -1 && errno == ETIMEDOUT, "a futex wait was cut short", errno);
	r = nanosleep(&t, NULL);
	note(r == 0, "nanosleep was cut short", errno);
}

static void *worker(void *arg)
{
	uint64_t seen = 0;

	set_up((int)(size_t)arg);
	for (;;) {
		note(vectors_kept(seen * 12345 + (uint64_t)own.number), "vector registers",
		     0);
		check_control_words();
		check_settings();
		check_waits();
		pthread_mutex_lock(&lock);
		// Half of them wait here, the others are on their way through their calls.
		while (asked == seen && own.number % 2)
			pthread_cond_wait(&changed, &lock);
		seen = asked;
		answered[own.number] = seen;
		pthread_cond_broadcast(&changed);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

// Ends with the robust mutex held.
static void *die(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&robust);
	pthread_mutex_lock(&lock);
	mortal_ready = true;
	pthread_cond_broadcast(&changed);
	while (!mortal_may_end)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void start_mortal(void)
{
	pthread_mutex_lock(&lock);
	mortal_may_end = mortal_ready = false;
	must(-pthread_create(&mortal, NULL, die, NULL));
	while (!mortal_ready)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static void check_robust(void)
{
	pthread_mutex_lock(&lock);
	mortal_may_end = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	int r = pthread_mutex_lock(&robust);
	expect(r == EOWNERDEAD, "the robust mutex of a thread that ended gives %d", r);
	pthread_mutex_consistent(&robust);
	pthread_mutex_unlock(&robust);
	expect(!pthread_join(mortal, NULL), "the thread that ended cannot be joined");
	start_mortal();
}

static void check(void)
{
	expect(pthread_mutex_trylock(&recursive) == 0, "the mutex it held is another's");
	pthread_mutex_unlock(&recursive);
	check_robust();
	pthread_mutex_lock(&lock);
	asked++;
	pthread_cond_broadcast(&changed);
	for (int i = 0; i < THREADS; i++)
		while (answered[i] < asked)
			pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < THREADS; i++)
		expect(!*fault[i], "%s", fault[i]);
}

int main(void)
{
	pthread_mutexattr_t attr;
	pthread_t t;

	if (!__builtin_cpu_supports("avx"))
		skip("no AVX");
	self_block();
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&recursive, &attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_DEFAULT);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&robust, &attr);
	pthread_mutex_lock(&recursive);
	for (size_t i = 0; i < THREADS; i++)
		must(-pthread_create(&t, NULL, worker, (void *)i));
	start_mortal();
	self_run(check);
}
