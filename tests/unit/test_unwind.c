// SPDX-License-Identifier: LGPL-2.1-or-later
// Unwinding of stopped children, against the call path that the child itself found with
// backtrace(3).
#include <check.h>
#include <errno.h>
#include <execinfo.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "process/unwind.h"
#include "util/cleanup.h"

// The first entry of a path that the block still has: above backtrace's caller and block_in. ASan puts a
// frame of its own around backtrace, and in front of the vdso.
#ifdef __SANITIZE_ADDRESS__
enum { FIRST_LASTING = 3, REACHES_VDSO = 0 };
#else
enum { FIRST_LASTING = 2, REACHES_VDSO = 1 };
#endif
enum { PATH_MAX_FRAMES = 64, THREADS = 4, DEPTH = 27 };

struct path { // what one thread of the child says about itself before it blocks
	atomic_int ready;
	pid_t tid;
	int n;
	void *pc[PATH_MAX_FRAMES];
	void *rip_slot; // of the interrupted frame, when in a signal handler
};

static struct path *shared; // THREADS + 1 of them, shared with the child
static volatile int sink;

static __attribute__((noinline)) void tell(struct path *p)
{
	p->tid = (pid_t)syscall(SYS_gettid);
	p->n = backtrace(p->pc, PATH_MAX_FRAMES);
	p->ready = 1;
}

static __attribute__((noinline)) void block_in(struct path *p, int how)
{
	struct timespec ts = {1000, 0};
	char c;

	tell(p);
	switch (how) {
	case 0:
		poll(NULL, 0, -1);
		break;
	case 1:
		nanosleep(&ts, NULL);
		break;
	case 2:
		sink = (int)read((int)(intptr_t)p->rip_slot, &c, 1);
		break;
	default:
		syscall(SYS_futex, &p->n, 0, p->n, NULL, NULL, 0);
	}
	sink++;
}

typedef void (*level_fn)(int, struct path *, int);
static const level_fn levels[3];

static __attribute__((noinline, optimize("O0"))) void level_plain(int n, struct path *p,
								  int how)
{
	char space[40];

	memset(space, n, sizeof(space));
	if (n)
		levels[n % 3](n - 1, p, how);
	else
		block_in(p, how);
	sink += space[3];
}

static __attribute__((noinline, optimize("O2", "omit-frame-pointer"))) void level_quick(
	int n, struct path *p, int how)
{
	int a = sink, b = a * 3, c = b ^ n;

	if (n)
		levels[n % 3](n - 1, p, how);
	else
		block_in(p, how);
	sink += a + b + c;
}

static __attribute__((noinline, optimize("O2"))) void level_alloca(int n, struct path *p,
								   int how)
{
	char *space = __builtin_alloca((size_t)n * 100 + 8);

	memset(space, n, (size_t)n * 100 + 8);
	if (n)
		levels[n % 3](n - 1, p, how);
	else
		block_in(p, how);
	sink += space[n];
}

static const level_fn levels[3] = {level_plain, level_quick, level_alloca};

static void *thread_main(void *arg)
{
	struct path *p = arg;

	levels[(p - shared) % 3](DEPTH, p, (int)(p - shared));
	return NULL;
}

static void run_threads(void)
{
	pthread_t t[THREADS];
	int fds[2];

	if (pipe(fds))
		_exit(1);
	for (int i = 0; i < THREADS; i++) {
		shared[i].rip_slot = (void *)(intptr_t)fds[0];
		pthread_create(&t[i], NULL, thread_main, &shared[i]);
	}
	level_alloca(DEPTH, &shared[THREADS], 0);
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)sig;
	(void)info;
	shared[0].rip_slot = &uc->uc_mcontext.gregs[REG_RIP];
	level_quick(3, &shared[0], 1);
}

static void run_handler(void)
{
	stack_t alt = {.ss_sp = malloc(SIGSTKSZ * 8), .ss_size = (size_t)SIGSTKSZ * 8};
	struct sigaction sa = {.sa_sigaction = on_signal,
			       .sa_flags = SA_SIGINFO | SA_ONSTACK};

	sigaltstack(&alt, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	_exit(1);
}

static void run_steps(void)
{
	struct timespec ts;
	char buf[64];

	shared[0].tid = getpid();
	shared[0].ready = 1;
	for (;;) {
		clock_gettime(CLOCK_MONOTONIC, &ts);
		snprintf(buf, sizeof(buf), "%ld %s", (long)ts.tv_nsec, strerror(sink & 7));
		sink += (int)strlen(buf) + (int)labs(random());
	}
}

struct child {
	pid_t pid;
	struct process process;
	struct maps maps;
	struct unwinder *u;
};

static void child_end(struct child *c)
{
	unwinder_free(c->u);
	maps_deinit(&c->maps);
	kill(c->pid, SIGKILL);
	// Traced threads are reaped one by one, the first thread last.
	while (waitpid(-1, NULL, __WALL) > 0)
		;
}

static void wait_ready(const struct path *p)
{
	for (int i = 0; i < 5000 && !p->ready; i++)
		poll(NULL, 0, 1);
	ck_assert(p->ready);
}

// Blocked for good: what the thread is going to sleep in cannot be waited for otherwise.
static void wait_asleep(pid_t pid, pid_t tid)
{
	char path[64], line[256];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", pid, tid);
	for (int i = 0; i < 5000; i++) {
		FILE *f = fopen(path, "re");

		ck_assert_ptr_nonnull(f);
		line[0] = 0;
		ck_assert_ptr_nonnull(fgets(line, sizeof(line), f));
		fclose(f);
		if (strncmp(line, "running", 7) != 0)
			return;
		poll(NULL, 0, 1);
	}
	ck_abort_msg("thread %d does not block", tid);
}

static struct child child_start(void (*run)(void))
{
	struct child c = {0};
	void *warm[4];

	backtrace(warm, 4); // loads libgcc_s before the fork
	shared = mmap(NULL, sizeof(*shared) * (THREADS + 1), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	c.pid = fork();
	if (!c.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run();
		_exit(0);
	}
	wait_ready(&shared[0]);
	c.process.pid = c.pid;
	return c;
}

static void child_unwinder(struct child *c)
{
	ck_assert_ptr_null(maps_read(c->pid, &c->maps));
	ck_assert_ptr_null(unwinder_create(&c->process, &c->maps, &c->u));
}

static void stop(pid_t tid, struct user_regs_struct *regs)
{
	int status;

	ck_assert_int_eq(ptrace(PTRACE_SEIZE, tid, 0, 0), 0);
	ck_assert_int_eq(ptrace(PTRACE_INTERRUPT, tid, 0, 0), 0);
	ck_assert_int_eq(waitpid(tid, &status, __WALL), tid);
	ck_assert_int_eq(ptrace(PTRACE_GETREGS, tid, 0, regs), 0);
}

// The frames above the one that called backtrace must be the same to the last.
static void check_path(const struct path *p, const struct frames *f)
{
	ck_assert_msg(f->complete, "incomplete after %zu frames: %s", f->v.n, f->why);
	ck_assert_int_gt(p->n, DEPTH / 9);
	ck_assert_uint_gt(f->v.n, (size_t)(p->n - FIRST_LASTING));
	for (int i = FIRST_LASTING; i < p->n; i++) {
		const struct frame *frame = &f->v.v[f->v.n - (size_t)(p->n - i)];

		ck_assert_msg(frame->pc == (taddr_t)p->pc[i], "frame %d: %#lx, not %p", i,
			      frame->pc, p->pc[i]);
		ck_assert_ptr_nonnull(frame->module);
	}
}

START_TEST(threads_and_depth)
{
	struct child c = child_start(run_threads);
	struct frames f = {0}, g = {0};

	for (int i = 0; i <= THREADS; i++) {
		wait_ready(&shared[i]);
		wait_asleep(c.pid, shared[i].tid);
	}
	child_unwinder(&c);
	for (int i = 0; i <= THREADS; i++) {
		struct user_regs_struct regs;
		taddr_t slot_value;

		stop(shared[i].tid, &regs);
		ck_assert_ptr_null(unwind_thread(c.u, &regs, &f));
		check_path(&shared[i], &f);
		ck_assert_int_gt(shared[i].n, DEPTH);
		for (size_t k = 1; k < f.v.n; k++) {
			errno = 0;
			slot_value = (taddr_t)ptrace(PTRACE_PEEKDATA, shared[i].tid,
						     f.v.v[k].pc_slot, 0);
			ck_assert_msg(slot_value == f.v.v[k].pc, "frame %zu: %s", k,
				      strerror(errno));
			ck_assert(!f.v.v[k].exact);
			ck_assert_uint_ge(f.v.v[k].cfa,
					  f.v.v[k - 1].cfa * (k + 1 < f.v.n));
		}
		ck_assert_ptr_null(unwind_thread(c.u, &regs, &g)); // from the cache
		ck_assert_uint_eq(f.v.n, g.v.n);
		ck_assert_int_eq(memcmp(f.v.v, g.v.v, f.v.n * sizeof(*f.v.v)), 0);
	}
	frames_deinit(&f);
	frames_deinit(&g);
	child_end(&c);
}
END_TEST

START_TEST(handler_on_another_stack)
{
	struct child c = child_start(run_handler);
	struct user_regs_struct regs;
	struct frames f = {0};
	unsigned signals = 0;

	wait_asleep(c.pid, shared[0].tid);
	child_unwinder(&c);
	stop(c.pid, &regs);
	ck_assert_ptr_null(unwind_thread(c.u, &regs, &f));
	check_path(&shared[0], &f);
	for (size_t k = 1; k < f.v.n; k++) {
		if (!f.v.v[k].signal_frame)
			continue;
		signals++;
		ck_assert(f.v.v[k + 1].exact);
		ck_assert_uint_eq(f.v.v[k + 1].pc_slot, (taddr_t)shared[0].rip_slot);
		ck_assert(!f.v.v[k + 2].exact);
	}
	ck_assert_uint_eq(signals, 1);
	frames_deinit(&f);
	child_end(&c);
}
END_TEST

// Every instruction of libc's formatting, of lazy binding, the PLT and the vdso is a
// place to be stopped at.
START_TEST(every_instruction)
{
	struct child c = child_start(run_steps);
	struct user_regs_struct regs;
	struct frames f = {0};
	taddr_t outermost = 0;
	unsigned vdso = 0;

	stop(c.pid, &regs);
	child_unwinder(&c);
	for (unsigned i = 0; i < 12000; i++) {
		int status;

		ck_assert_ptr_null(unwind_thread(c.u, &regs, &f));
		ck_assert_msg(f.complete, "step %u at %#llx: %s", i, regs.rip, f.why);
		if (!outermost)
			outermost = f.v.v[f.v.n - 2].pc;
		ck_assert_uint_eq(f.v.v[f.v.n - 2].pc, outermost);
		vdso += f.v.v[0].module->base &&
			!strcmp(f.v.v[0].module->file->path, "[vdso]");
		ck_assert_int_eq(ptrace(PTRACE_SINGLESTEP, c.pid, 0, 0), 0);
		ck_assert_int_eq(waitpid(c.pid, &status, __WALL), c.pid);
		ck_assert_int_eq(ptrace(PTRACE_GETREGS, c.pid, 0, &regs), 0);
	}
	if (REACHES_VDSO)
		ck_assert_uint_gt(vdso, 0);
	frames_deinit(&f);
	child_end(&c);
}
END_TEST

START_TEST(without_stopping)
{
	struct child c = child_start(run_threads);
	struct frames f = {0};

	wait_ready(&shared[1]);
	wait_asleep(c.pid, shared[1].tid);
	child_unwinder(&c);
	// -O0 frames stand in its path: rbp must be given back by a frame that saved it.
	ck_assert_ptr_null(unwind_blocked(c.u, shared[1].tid, &f));
	ck_assert(f.complete || strstr(f.why, "rbp is not known"));
	ck_assert_uint_gt(f.v.n, 2);
	frames_deinit(&f);
	child_end(&c);
}
END_TEST

enum { GATE = 0x1234 };

static taddr_t translate(void *arg, taddr_t addr)
{
	return addr == GATE ? *(taddr_t *)arg : 0;
}

START_TEST(translates_gates)
{
	struct child c = child_start(run_handler);
	struct user_regs_struct regs;
	struct frames f = {0};
	taddr_t real;

	wait_asleep(c.pid, shared[0].tid);
	child_unwinder(&c);
	stop(c.pid, &regs);
	ck_assert_ptr_null(unwind_thread(c.u, &regs, &f));
	real = f.v.v[4].pc;
	ck_assert_int_eq(ptrace(PTRACE_POKEDATA, c.pid, f.v.v[4].pc_slot, GATE), 0);
	ck_assert_ptr_null(unwind_thread(c.u, &regs, &f));
	ck_assert(!f.complete);
	unwinder_set_translate(c.u, translate, &real);
	ck_assert_ptr_null(unwind_thread(c.u, &regs, &f));
	check_path(&shared[0], &f);
	frames_deinit(&f);
	child_end(&c);
}
END_TEST

START_TEST(broken_stacks)
{
	struct child c = child_start(run_handler);
	struct user_regs_struct regs;
	struct frames f = {0};

	wait_asleep(c.pid, shared[0].tid);
	child_unwinder(&c);
	stop(c.pid, &regs);
	regs.rsp = 0x10;
	ck_assert_ptr_null(unwind_thread(c.u, &regs, &f));
	ck_assert(!f.complete);
	ck_assert_ptr_nonnull(strstr(f.why, "cannot read"));
	regs.rip = 0x1234;
	ck_assert_ptr_null(unwind_thread(c.u, &regs, &f));
	ck_assert(!f.complete);
	ck_assert_str_eq(f.why, "no module is mapped at 0x1234");
	frames_deinit(&f);
	child_end(&c);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("unwind");
	TCase *t = tcase_create("unwind");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 50);
	tcase_add_test(t, threads_and_depth);
	tcase_add_test(t, handler_on_another_stack);
	tcase_add_test(t, every_instruction);
	tcase_add_test(t, without_stopping);
	tcase_add_test(t, translates_gates);
	tcase_add_test(t, broken_stacks);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
