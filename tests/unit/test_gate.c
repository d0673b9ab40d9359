// SPDX-License-Identifier: LGPL-2.1-or-later
// Return gates in a process whose frames come and go: recursion, signal handlers, longjmp over a gated
// frame, threads that end, many return values; with tools that give up or are killed.
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/time.h>

#include "tests/unit/tool_child.h"

// Each victim thread tells the tool the places of its live return addresses; a place is told only while
// its frame is active, so that a stop never sees a stale one.
static struct shared *mine;
static volatile uint32_t sink;

static void work(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		sink++;
}

#define GATED __attribute__((noinline, noipa, optimize("no-omit-frame-pointer")))
static _Thread_local pid_t my_tid;

static void enter(unsigned i, unsigned depth, void *frame)
{
	if (!my_tid)
		my_tid = gettid();
	mine->tids[i] = my_tid;
	mine->frames[i][depth] = (taddr_t)(uintptr_t)frame + 8;
}

#define ENTER(i, depth) enter(i, depth, __builtin_frame_address(0))
#define LEAVE(i, depth) (mine->frames[i][depth] = 0)

struct two {
	uint64_t a, b;
};

GATED static struct two two_words(unsigned i, uint64_t n)
{
	ENTER(i, 0);
	work(20000);
	nap_us(100);
	LEAVE(i, 0);
	return (struct two){n, ~n};
}

GATED static double floating(unsigned i, double n)
{
	ENTER(i, 1);
	work(20000);
	LEAVE(i, 1);
	return n * 0.5;
}

__attribute__((noreturn)) static void *values(void *arg)
{
	unsigned i = (unsigned)(uintptr_t)arg;

	for (;; mine->rounds[i]++) {
		uint64_t n = mine->rounds[i] * 0x123456789abcdefull;
		struct two t = two_words(i, n);

		if (t.a != n || t.b != ~n)
			mine->bad[i] = 1;
		if (floating(i, (double)mine->rounds[i]) != (double)mine->rounds[i] * 0.5)
			mine->bad[i] = 2;
	}
}

GATED static uint64_t recurse(unsigned i, unsigned depth)
{
	ENTER(i, depth);
	work(3000);
	if (depth == 7)
		nap_us(500);
	uint64_t n = depth == 7 ? 1 : recurse(i, depth + 1) * 3;
	work(3000);
	LEAVE(i, depth);
	return n;
}

__attribute__((noreturn)) static void *recursion(void *arg)
{
	unsigned i = (unsigned)(uintptr_t)arg;

	for (;; mine->rounds[i]++)
		if (recurse(i, 0) != 3 * 3 * 3 * 3 * 3 * 3 * 3)
			mine->bad[i] = 1;
}

static _Thread_local jmp_buf jump_out;
GATED static void jumps_over(unsigned i, unsigned depth);
static void (*volatile deeper)(unsigned, unsigned) = jumps_over;

GATED static void jumps_over(unsigned i, unsigned depth)
{
	ENTER(i, depth);
	work(5000);
	if (depth < 3)
		deeper(i, depth + 1);
	nap_us(300);
	for (unsigned k = 0; k < 4; k++)
		LEAVE(i, k);
	longjmp(jump_out, 1);
}

// Reuses the places where stale gates may lie.
GATED static uint64_t reuse(unsigned depth, uint64_t n)
{
	volatile uint64_t place[16];

	for (unsigned k = 0; k < 16; k++)
		place[k] = n + k;
	work(2000);
	if (depth)
		n = reuse(depth - 1, n);
	for (unsigned k = 0; k < 16; k++)
		if (place[k] - k != place[0])
			return ~0ull;
	return n;
}

__attribute__((noreturn)) static void *jumper(void *arg)
{
	unsigned i = (unsigned)(uintptr_t)arg;

	for (;; mine->rounds[i]++) {
		if (!setjmp(jump_out))
			jumps_over(i, 0);
		if (reuse(6, 77) != 77)
			mine->bad[i] = 1;
	}
}

GATED static void ends(unsigned i)
{
	ENTER(i, 0);
	work(20000);
	LEAVE(i, 0);
	pthread_exit((void *)(uintptr_t)(mine->rounds[i] & 0xff));
}

static void *short_lived(void *arg)
{
	ends((unsigned)(uintptr_t)arg);
	return NULL;
}

__attribute__((noreturn)) static void *maker(void *arg)
{
	unsigned i = (unsigned)(uintptr_t)arg;

	for (;; mine->rounds[i]++) {
		pthread_t t;
		void *ret;

		if (pthread_create(&t, NULL, short_lived, arg) || pthread_join(t, &ret) ||
		    (uintptr_t)ret != (mine->rounds[i] & 0xff))
			mine->bad[i] = 1;
		nap_us(500);
	}
}

GATED static unsigned handler_part(unsigned i)
{
	ENTER(i, 0);
	work(20000);
	LEAVE(i, 0);
	return 42;
}

// The child has the parent's gates on its stack and shares their slots.
GATED static unsigned forks(unsigned i, pid_t *child)
{
	ENTER(i, 0);
	work(20000);
	*child = fork();
	work(20000);
	LEAVE(i, 0);
	return 43;
}

__attribute__((noreturn)) static void *forker(void *arg)
{
	unsigned i = (unsigned)(uintptr_t)arg;

	for (;; mine->rounds[i]++) {
		pid_t child;
		int status;
		unsigned n = forks(i, &child);

		if (!child)
			_exit(n == 43 ? 44 : 1);
		if (n != 43 || waitpid(child, &status, 0) != child ||
		    !WIFEXITED(status) || WEXITSTATUS(status) != 44)
			mine->bad[i] = (uint64_t)status | 1ull << 32;
		nap_us(1000);
	}
}

static void on_alarm(int sig)
{
	int saved = errno;

	(void)sig;
	if (handler_part(0) != 42)
		mine->bad[0] = 1;
	mine->rounds[0]++;
	errno = saved;
}

enum { GATE_THREADS = 6 }; // and short-lived ones

static void gate_victim(struct shared *s)
{
	void *(*const bodies[])(void *) = {NULL,   values, recursion,
					   jumper, maker,  forker};
	struct itimerval every = {.it_interval = {.tv_usec = 2000},
				  .it_value = {.tv_usec = 2000}};
	sigset_t alarms;
	pthread_t t;

	mine = s;
	sigemptyset(&alarms);
	sigaddset(&alarms, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarms, NULL);
	for (uintptr_t i = 1; i < ARRAY_SIZE(bodies); i++)
		pthread_create(&t, NULL, bodies[i], (void *)i);
	pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
	sigaction(SIGALRM,
		  &(struct sigaction){.sa_handler = on_alarm, .sa_flags = SA_RESTART},
		  NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	for (;;)
		work(1000), nap_us(1000);
}

static struct err *plant_all(struct target *t, struct process *p, struct gates *g)
{
	for (unsigned i = 0; i < GATE_THREADS; i++) {
		for (unsigned k = 0; k < 8; k++) {
			taddr_t slot = t->shared->frames[i][k];

			if (slot && process_thread(p, t->shared->tids[i]))
				TRY(gates_plant(g, t->shared->tids[i], slot));
		}
	}
	return NULL;
}

// The tool's way: plant, wait until one comes, look again, and so on.
static struct err *gate_tool(struct target *t, struct process *p, struct helper *h)
{
	_cleanup_(gates_freep) struct gates *g = NULL;
	struct commit_leftover left;
	unsigned reached, held;

	TRY(commit_recover(p, h, &left));
	t->shared->stats[0] = left.gate_areas;
	t->shared->stats[1] = left.kept;
	TRY(gates_create(p, h, (taddr_t)(uintptr_t)work, 512, &g));
	gates_set_hold(g, 60000000); // longer than the wait below
	for (unsigned round = 0; round < 8; round++) {
		struct err *e;

		TRY(process_freeze(p, monotonic_ns() + 1000000000, NULL));
		e = gates_withdraw(g);
		held = 0;
		vec_for_each(th, &p->threads)
			held += th->regs_dirty;
		t->shared->stats[3] += held;
		if (!e && round < 7)
			e = plant_all(t, p, g);
		struct err *thawed = process_thaw(p, NULL);
		if (e) {
			err_free(thawed);
			return e;
		}
		TRY(thawed);
		if (round < 7)
			TRY((round % 2 ? gates_wait : gates_wait_any)(
				g, monotonic_ns() + 20000000, &reached));
		t->shared->stats[2] += reached;
	}
	return NULL;
}

static int run(struct target *t, const char *fault, unsigned kill_us)
{
	return tool_run(t, gate_tool, (taddr_t)(uintptr_t)work, fault, kill_us);
}

// The thread that makes others has one more from time to time.
static void check(struct target *t)
{
	uint64_t before[GATE_THREADS];

	for (unsigned i = 0; i < GATE_THREADS; i++)
		before[i] = t->shared->rounds[i];
	for (unsigned i = 0; i < GATE_THREADS; i++) {
		for (unsigned k = 0; k < 5000 && t->shared->rounds[i] < before[i] + 2; k++)
			nap_us(1000);
		ck_assert_msg(t->shared->rounds[i] >= before[i] + 2, "thread %u hangs", i);
		ck_assert_msg(!t->shared->bad[i], "thread %u saw %llu", i,
			      (unsigned long long)t->shared->bad[i]);
	}
	for (unsigned k = 0; k < 2000 && count_threads(t->pid) > GATE_THREADS + 1; k++)
		nap_us(1000);
	ck_assert_uint_le(count_threads(t->pid), GATE_THREADS + 1);
	ck_assert_int_eq(waitpid(t->pid, &(int){0}, WNOHANG), 0);
}

START_TEST(gates_catch_and_let_go)
{
	unsigned n = env_number("MOLT_TEST_ROUNDS", 5), kept = 0;
	struct target t = victim_start(gate_victim, GATE_THREADS);

	check(&t);
	for (unsigned i = 0; i < n; i++) {
		ck_assert_int_eq(run(&t, NULL, 0), 0);
		kept += t.shared->stats[1] != 0;
		check(&t);
	}
	ck_assert_uint_gt(t.shared->stats[2], 0);
	ck_assert_uint_gt(t.shared->stats[3], 0);
	if (getenv("MOLT_TEST_VERBOSE"))
		fprintf(stderr, "%llu reached, %llu moved out, %u kept\n",
			(unsigned long long)t.shared->stats[2],
			(unsigned long long)t.shared->stats[3], kept);
	victim_end(&t);
}
END_TEST

static void all_faults(const char *prefix)
{
	size_t n;
	const struct fault_info *f = fault_list(&n);
	struct target t = victim_start(gate_victim, GATE_THREADS);
	char fault[64];

	check(&t);
	for (size_t i = 0; i < n; i++) {
		if (!strncmp(f[i].name, "family-", 7) ||
		    (!strstr(f[i].name, "gate") && !strstr(f[i].name, "withdraw")))
			continue;
		if (!strcmp(f[i].name, "in-gates") ||
		    !strcmp(f[i].name, "after-gates-set"))
			continue;
		snprintf(fault, sizeof(fault), "%s%s", prefix, f[i].name);
		int status = run(&t, fault, 0);
		if (*prefix)
			ck_assert_msg(WIFSIGNALED(status), "%s is not reached", fault);
		else if (strcmp(f[i].name, "before-gates-free") != 0)
			ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 1,
				      "%s is not reached", fault);
		check(&t);
		ck_assert_msg(run(&t, NULL, 0) == 0, "after %s", fault);
		check(&t);
	}
	victim_end(&t);
}

START_TEST(gate_faults_that_fail)
{
	all_faults("");
}
END_TEST

START_TEST(gate_faults_that_kill)
{
	all_faults("kill:");
}
END_TEST

START_TEST(gate_killed_at_random)
{
	unsigned n = env_number("MOLT_TEST_KILLS", 10), killed = 0;
	struct target t = victim_start(gate_victim, GATE_THREADS);

	check(&t);
	uint64_t start = monotonic_ns();
	ck_assert_int_eq(run(&t, NULL, 0), 0);
	unsigned took = (unsigned)((monotonic_ns() - start) / 1000);
	srand((unsigned)start);
	for (unsigned i = 0; i < n; i++) {
		killed += WIFSIGNALED(run(&t, NULL, 1 + (unsigned)rand() % took));
		check(&t);
		if (i % 4 == 3)
			ck_assert_int_eq(run(&t, NULL, 0), 0);
	}
	ck_assert_int_eq(run(&t, NULL, 0), 0);
	check(&t);
	if (getenv("MOLT_TEST_VERBOSE"))
		fprintf(stderr, "%u killed of %u\n", killed, n);
	victim_end(&t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("gate");
	TCase *t = tcase_create("gate");

	tcase_set_timeout(t, 600);
	tcase_add_test(t, gates_catch_and_let_go);
	tcase_add_test(t, gate_faults_that_fail);
	tcase_add_test(t, gate_faults_that_kill);
	tcase_add_test(t, gate_killed_at_random);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
