// SPDX-License-Identifier: LGPL-2.1-or-later
// Commits into a process that notices any mixture of old and new, with tools that are killed at every
// fault point and at random moments. MOLT_TEST_ROUNDS and MOLT_TEST_KILLS make it longer.
#include <errno.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/rseq.h>

#include "tests/unit/tool_child.h"

enum { WORDS = 190, FUNCS = 8, PATCHES = WORDS + FUNCS + 2 };

// What a commit changes together: all words, the constant that each function returns, the loop that is
// the active one, and with it the pc of every thread in it.
volatile uint64_t generation;
static volatile uint64_t words[WORDS];
volatile uint64_t active_loop;
uint32_t gen_funcs(void);
extern const uint8_t gen_table[], gen_end[], loop_a[], loop_b[], loop_end[];
uint64_t loop_enter(uint64_t rounds);

enum { GEN_SIZE = 16 };
#define LOOP(name, id)                                                                   \
	name ": mov active_loop(%rip), %rax\n"                                           \
	     ".rept 20\n nop\n.endr\n mov $" id ", %rdx\n .rept 20\n nop\n.endr\n"       \
	     "mov active_loop(%rip), %rcx\n cmp %rax, %rcx\n jne 1f\n cmp %rdx, %rax\n " \
	     "jne 9f\n"                                                                  \
	     "1: dec %rdi\n jnz " name "\n xor %eax, %eax\n ret\n"                       \
	     "9: mov $1, %eax\n ret\n"
__asm__(".text\n.globl gen_table, gen_end, loop_a, loop_b, loop_end, loop_enter\n"
	".balign 16\n gen_table:\n.rept 8\n mov $0, %eax\n ret\n .balign 16\n.endr\n "
	"gen_end:\n"
	"loop_enter: cmpq $0, active_loop(%rip)\n je loop_a\n jmp loop_b\n"
	".balign 16\n" LOOP("loop_a", "0") ".balign 16\n" LOOP("loop_b",
							       "1") "loop_end:\n");

static uint64_t gen_of(unsigned i)
{
	return ((uint32_t(*)(void))(uintptr_t)(gen_table + i * GEN_SIZE))();
}

static struct shared *mine; // the victim's

__attribute__((noreturn)) static void *looper(void *arg)
{
	unsigned i = (unsigned)(uintptr_t)arg;

	for (;; mine->rounds[i]++) {
		if (loop_enter(40000))
			mine->bad[i] = 1;
		nap_us(100);
	}
}

// A value that is the same before and after tells that no commit came between.
__attribute__((noreturn)) static void *reader(void *arg)
{
	unsigned i = (unsigned)(uintptr_t)arg;

	for (;; mine->rounds[i]++) {
		for (unsigned k = 0; k < 20; k++) {
			uint64_t g = generation, bad = 0, seen = 0;

			for (unsigned w = 0; w < WORDS; w++)
				if (words[w] != g)
					bad = 1000 + w, seen = words[w];
			for (unsigned f = 0; f < FUNCS; f++)
				if (gen_of(f) != g)
					bad = 2000 + f, seen = gen_of(f);
			if (bad && generation == g)
				mine->bad[i] = bad << 32 | seen << 16 | g;
		}
		nap_us(50);
	}
}

__attribute__((noreturn)) static void *sleeper(void *arg)
{
	unsigned i = (unsigned)(uintptr_t)arg;

	for (;; mine->rounds[i]++) {
		uint64_t start = monotonic_ns();

		if (nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL))
			mine->bad[i] = (uint64_t)errno;
		if (monotonic_ns() - start < 3000000)
			mine->bad[i] = 1000;
	}
}

__attribute__((noreturn)) static void *poller(void *arg)
{
	unsigned i = (unsigned)(uintptr_t)arg;
	int fd = epoll_create1(0);
	struct epoll_event ev;

	for (;; mine->rounds[i]++)
		if (epoll_wait(fd, &ev, 1, 2) != 0 && errno != EINTR)
			mine->bad[i] = (uint64_t)errno;
}

// A restartable sequence that sees two generations was not restarted.
extern const uint8_t rseq_sections[];
uint64_t rseq_once(void *area);
__asm__(".section .data.rel.ro, \"aw\"\n.balign 32\n.globl rseq_sections\n"
	"rseq_sections: .long 0, 0\n .quad 1f, 2f - 1f, 3f\n"
	".text\n.globl rseq_once\n rseq_once: lea rseq_sections(%rip), %rax\n"
	"mov $500, %ecx\n mov %rax, 8(%rdi)\n"
	"1: mov generation(%rip), %rdx\n"
	"5: pause\n dec %ecx\n jnz 5b\n cmp generation(%rip), %rdx\n"
	"2: jne 4f\n xor %eax, %eax\n ret\n"
	".long 0x53053053\n"
	"3: xor %eax, %eax\n ret\n"
	"4: mov $1, %eax\n ret\n");

__attribute__((noreturn)) static void *restarter(void *arg)
{
	unsigned i = (unsigned)(uintptr_t)arg;
	void *area = (char *)__builtin_thread_pointer() + __rseq_offset;

	for (;; mine->rounds[i]++) {
		for (unsigned k = 0; k < 50; k++)
			if (rseq_once(area))
				mine->bad[i] = 1;
		nap_us(100);
	}
}

static void commit_victim(struct shared *s)
{
	void *(*const bodies[])(void *) = {looper,  looper, reader,   reader,
					   sleeper, poller, restarter};
	pthread_t t;

	mine = s;
	for (uintptr_t i = 1; i < ARRAY_SIZE(bodies); i++)
		pthread_create(&t, NULL, bodies[i], (void *)i);
	looper(NULL);
}

enum { COMMIT_THREADS = 7 };

static struct err *add_word(struct commit *c, volatile uint64_t *at, uint64_t from,
			    uint64_t to)
{
	struct patch p = {.addr = (taddr_t)(uintptr_t)at, .len = 8, .what = "word"};

	memcpy(p.old_bytes, &from, 8);
	memcpy(p.new_bytes, &to, 8);
	return commit_add(c, &p);
}

static struct err *add_patches(struct commit *c, uint64_t from, uint64_t loop)
{
	uint64_t to = from + 1;

	TRY(add_word(c, &generation, from, to));
	TRY(add_word(c, &active_loop, loop, !loop));
	for (unsigned i = 0; i < WORDS; i++)
		TRY(add_word(c, &words[i], from, to));
	for (unsigned i = 0; i < FUNCS; i++) {
		struct patch p = {.addr = (taddr_t)(uintptr_t)gen_table + i * GEN_SIZE + 1,
				  .len = 4,
				  .what = "entry"};

		memcpy(p.old_bytes, &from, 4);
		memcpy(p.new_bytes, &to, 4);
		TRY(commit_add(c, &p));
	}
	return NULL;
}

static struct err *move_threads(struct commit *c, struct process *p, uint64_t loop)
{
	uint64_t size = (uint64_t)(loop_b - loop_a),
		 entry = (uint64_t)(uintptr_t)loop_enter;
	uint64_t from = (uint64_t)(uintptr_t)(loop ? loop_b : loop_a);
	uint64_t to = (uint64_t)(uintptr_t)(loop ? loop_a : loop_b);

	vec_for_each(t, &p->threads) {
		struct user_regs_struct r = t->regs;

		if (t->state != THREAD_STOPPED)
			continue;
		if (r.rip - entry < (uint64_t)(uintptr_t)loop_a - entry)
			r.rip = entry; // it has looked which loop is the active one
		else if (r.rip - from < size)
			r.rip = r.rip - from + to;
		else
			continue;
		TRY(commit_move_thread(c, t->tid, &r));
	}
	return NULL;
}

static struct err *prepare(struct commit *c, pid_t pid)
{
	struct commit_span spans[] = {
		{(taddr_t)(uintptr_t)words, sizeof(words)},
		{(taddr_t)(uintptr_t)gen_table, (uint64_t)(gen_end - gen_table)},
		{(taddr_t)(uintptr_t)&generation, 8},
	};
	struct maps maps;

	TRY(maps_read(pid, &maps));
	struct err *e = commit_prepare_ranges(c, &maps, spans, ARRAY_SIZE(spans));
	maps_deinit(&maps);
	return e;
}

static bool want_undo;
static unsigned kill_after_ns; // in the critical stop; 0: not

static void arm_kill(void)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
	struct itimerspec when = {.it_value.tv_nsec = kill_after_ns};
	timer_t timer;

	if (kill_after_ns && !timer_create(CLOCK_MONOTONIC, &ev, &timer))
		timer_settime(timer, 0, &when, NULL);
}

static struct err *in_stop(struct target *t, struct process *p, struct commit *c,
			   uint64_t from)
{
	uint64_t loop;
	struct commit_times times;

	TRY(mem_read(p->pid, (taddr_t)(uintptr_t)&active_loop, &loop, 8));
	TRY(add_patches(c, from, loop));
	TRY(move_threads(c, p, loop));
	TRY(commit_execute(c));
	t->shared->stats[8] = monotonic_ns() - t->shared->stats[7];
	commit_times(c, &times);
	t->shared->stats[1] = times.log;
	t->shared->stats[2] = times.gates;
	t->shared->stats[3] = times.run;
	if (want_undo)
		TRY(commit_undo(c));
	return NULL;
}

static struct err *commit_once(struct target *t, struct process *p, struct helper *h,
			       struct commit *c)
{
	uint64_t from, first, last;

	(void)h;
	TRY(prepare(c, p->pid));
	TRY(mem_read(p->pid, (taddr_t)(uintptr_t)&generation, &from, 8));
	arm_kill();
	t->shared->stats[7] = monotonic_ns();
	t->shared->stats[8] = t->shared->stats[9] = 0;
	TRY(process_freeze(p, monotonic_ns() + 1000000000, &first));
	struct err *e = in_stop(t, p, c, from);
	struct err *thawed = process_thaw(p, &last);
	t->shared->stats[9] = monotonic_ns() - t->shared->stats[7];
	t->shared->stats[0] = last - first;
	struct err *finished = commit_finish(c);
	if (!e)
		e = thawed;
	else
		err_free(thawed);
	if (!e)
		e = finished;
	else
		err_free(finished);
	return e;
}

static struct err *commit_tool(struct target *t, struct process *p, struct helper *h)
{
	_cleanup_(commit_freep) struct commit *c = NULL;
	struct commit_leftover left;

	TRY(commit_recover(p, h, &left));
	t->shared->stats[4] = left.commits;
	t->shared->stats[5] = left.committed;
	t->shared->stats[6] = left.kept;
	TRY(commit_create(p, h, (taddr_t)(uintptr_t)gen_table, PATCHES, COMMIT_THREADS,
			  &c));
	return commit_once(t, p, h, c);
}

static uint64_t peek(const struct target *t, const volatile void *at)
{
	uint64_t v = 0;
	struct err *e = mem_read(t->pid, (taddr_t)(uintptr_t)at, &v, 8);

	ck_assert_ptr_null(e);
	return v;
}

static int run(struct target *t, const char *fault, unsigned kill_us)
{
	return tool_run(t, commit_tool, (taddr_t)(uintptr_t)gen_table, fault, kill_us);
}

static void started(struct target *t)
{
	*t = victim_start(commit_victim, COMMIT_THREADS);
	victim_check(t);
}

START_TEST(commits_change_all_at_once)
{
	unsigned n = env_number("MOLT_TEST_ROUNDS", 20);
	struct target t;

	started(&t);
	for (unsigned i = 0; i < n; i++) {
		ck_assert_int_eq(run(&t, NULL, 0), 0);
		ck_assert_uint_eq(peek(&t, &generation), i + 1);
		ck_assert_uint_eq(t.shared->stats[4], 0);
		if (getenv("MOLT_TEST_VERBOSE"))
			fprintf(stderr, "stop %llu log %llu gates %llu run %llu ns\n",
				(unsigned long long)t.shared->stats[0],
				(unsigned long long)t.shared->stats[1],
				(unsigned long long)t.shared->stats[2],
				(unsigned long long)t.shared->stats[3]);
		victim_check(&t);
		victim_check_clean(&t);
	}
	victim_end(&t);
}
END_TEST

START_TEST(undo_puts_all_back)
{
	struct target t;

	started(&t);
	want_undo = true;
	for (unsigned i = 0; i < 5; i++) {
		ck_assert_int_eq(run(&t, NULL, 0), 0);
		ck_assert_uint_eq(peek(&t, &generation), 0);
		victim_check(&t);
		victim_check_clean(&t);
	}
	victim_end(&t);
}
END_TEST

static bool takes_part(const char *name)
{
	return !strstr(name, "family-") && !strstr(name, "gates-") &&
	       !strstr(name, "gate-") && !strstr(name, "withdraw") &&
	       !strstr(name, "update-") && !strstr(name, "ask-") &&
	       !strstr(name, "rollback-");
}

// Every fault point, failing and killed, with and without undo: the victim never notices, and the next
// tool works.
static void all_faults(bool undo, const char *prefix)
{
	size_t n;
	const struct fault_info *f = fault_list(&n);
	struct target t;
	char fault[64];

	started(&t);
	for (size_t i = 0; i < n; i++) {
		uint64_t before = peek(&t, &generation);

		if (!takes_part(f[i].name) || (!undo && strstr(f[i].name, "undo")))
			continue;
		want_undo = undo;
		snprintf(fault, sizeof(fault), "%s%s", prefix, f[i].name);
		int status = run(&t, fault, 0);
		if (*prefix)
			ck_assert_msg(WIFSIGNALED(status), "%s is not reached", fault);
		else if (!strcmp(fault, "helper-left")) // nothing is left to fail
			ck_assert_int_eq(status, 0);
		else if (!undo || strcmp(fault, "after-decision") !=
					  0) // what is decided is finished, whatever fails
			ck_assert_msg(WIFEXITED(status) &&
					      WEXITSTATUS(status) ==
						      !!strcmp(fault, "after-decision"),
				      "%s is not reached", fault);
		victim_check(&t);
		uint64_t after = peek(&t, &generation);
		ck_assert_msg(after == before || after == before + 1, "%s", fault);
		want_undo = false;
		ck_assert_msg(run(&t, NULL, 0) == 0, "after %s", fault);
		ck_assert_msg(t.shared->stats[6] == 0, "%s: an area was kept", fault);
		ck_assert_uint_eq(peek(&t, &generation), after + 1);
		victim_check(&t);
		victim_check_clean(&t);
	}
	victim_end(&t);
}

START_TEST(faults_that_fail)
{
	all_faults(false, "");
	all_faults(true, "");
}
END_TEST

START_TEST(faults_that_kill)
{
	all_faults(false, "kill:");
	all_faults(true, "kill:");
}
END_TEST

START_TEST(killed_at_random)
{
	unsigned n = env_number("MOLT_TEST_KILLS", 20), committed = 0, killed = 0;
	struct target t;
	uint64_t took;

	started(&t);
	uint64_t start = monotonic_ns();
	ck_assert_int_eq(run(&t, NULL, 0), 0);
	took = (monotonic_ns() - start) / 1000;
	srand((unsigned)start);
	for (unsigned i = 0; i < n; i++) {
		uint64_t before = peek(&t, &generation);
		int status = run(&t, NULL, 1 + (unsigned)rand() % (unsigned)(took + 500));

		killed += WIFSIGNALED(status);
		victim_check(&t);
		committed += peek(&t, &generation) == before + 1;
		if (i % 4 == 3) {
			ck_assert_int_eq(run(&t, NULL, 0), 0);
			victim_check(&t);
			victim_check_clean(&t);
		}
	}
	if (getenv("MOLT_TEST_VERBOSE"))
		fprintf(stderr, "%u killed of %u, %u committed, a run takes %llu us\n",
			killed, n, committed, (unsigned long long)took);
	victim_end(&t);
}
END_TEST

START_TEST(killed_in_the_stop)
{
	unsigned n = env_number("MOLT_TEST_KILLS", 40), committed = 0, killed = 0;
	unsigned between = 0, range;
	struct target t;

	started(&t);
	ck_assert_int_eq(run(&t, NULL, 0), 0);
	range = (unsigned)(t.shared->stats[9] * 11 / 10);
	srand((unsigned)monotonic_ns());
	for (unsigned i = 0; i < n; i++) {
		uint64_t before = peek(&t, &generation);

		want_undo = i % 4 == 3;
		kill_after_ns = 1 + (unsigned)rand() % range;
		killed += WIFSIGNALED(run(&t, NULL, 0));
		victim_check(&t);
		committed += peek(&t, &generation) == before + 1;
		between += t.shared->stats[8] && !t.shared->stats[9];
		want_undo = false;
		kill_after_ns = 0;
		if (i % 4 == 3) {
			ck_assert_int_eq(run(&t, NULL, 0), 0);
			ck_assert_uint_eq(t.shared->stats[6], 0);
			victim_check(&t);
			victim_check_clean(&t);
		}
	}
	if (getenv("MOLT_TEST_VERBOSE"))
		fprintf(stderr, "in the stop: %u killed of %u, %u committed, %u of them stopped\n",
			killed, n, committed, between);
	victim_end(&t);
}
END_TEST

static struct err *holding_tool(struct target *t, struct process *p, struct helper *h)
{
	_cleanup_(commit_freep) struct commit *c = NULL;

	TRY(commit_create(p, h, (taddr_t)(uintptr_t)gen_table, PATCHES, COMMIT_THREADS,
			  &c));
	TRY(prepare(c, p->pid));
	t->shared->stats[10] = 1;
	pause();
	return NULL;
}

START_TEST(two_tools_do_not_meet)
{
	struct target t;
	pid_t first;

	started(&t);
	first = fork();
	if (!first) {
		err_free(tool_main(&t, holding_tool, (taddr_t)(uintptr_t)gen_table));
		_exit(1);
	}
	for (unsigned i = 0; i < 5000 && !t.shared->stats[10]; i++)
		nap_us(1000);
	ck_assert_uint_eq(t.shared->stats[10], 1);
	ck_assert_int_eq(WEXITSTATUS(run(&t, NULL, 0)), 1);
	ck_assert_uint_eq(peek(&t, &generation), 0);
	ck_assert_int_eq(waitpid(first, NULL, WNOHANG), 0);
	kill(first, SIGKILL);
	waitpid(first, NULL, 0);
	ck_assert_int_eq(run(&t, NULL, 0), 0);
	ck_assert_uint_eq(t.shared->stats[4], 1);
	victim_check(&t);
	victim_check_clean(&t);
	victim_end(&t);
}
END_TEST

// A process in a job-control stop stays in the gates of a tool that died, until the next tool comes.
START_TEST(killed_while_the_process_is_stopped)
{
	static const char *const faults[] = {
		"kill:before-verify",  "kill:in-gates",	  "kill:after-gates-set",
		"kill:after-decision", "kill:after-redo", "kill:before-finish",
	};
	struct target t;

	started(&t);
	for (unsigned i = 0; i < ARRAY_SIZE(faults); i++) {
		uint64_t before = peek(&t, &generation), after;

		kill(t.pid, SIGSTOP);
		waitpid(t.pid, NULL, WUNTRACED);
		ck_assert(WIFSIGNALED(run(&t, faults[i], 0)));
		nap_us(2000);
		ck_assert_msg(run(&t, NULL, 0) == 0, "after %s", faults[i]);
		ck_assert_uint_eq(t.shared->stats[6], 0);
		after = peek(&t, &generation);
		ck_assert_uint_eq(after, before + 1 + (i >= 3));
		kill(t.pid, SIGCONT);
		victim_check(&t);
		victim_check_clean(&t);
	}
	victim_end(&t);
}
END_TEST

static struct err *mismatch_tool(struct target *t, struct process *p, struct helper *h)
{
	_cleanup_(commit_freep) struct commit *c = NULL;
	size_t n[] = {0, 100, PATCHES - 1};
	(void)t;

	TRY(commit_create(p, h, (taddr_t)(uintptr_t)gen_table, PATCHES, COMMIT_THREADS,
			  &c));
	TRY(prepare(c, p->pid));
	for (unsigned i = 0; i < 4; i++) {
		struct patch wrong = {.addr = (taddr_t)(uintptr_t)&generation,
				      .len = 8,
				      .old_bytes = {9},
				      .what = "wrong"};
		struct err *e;

		commit_reset(c, 0);
		if (i == 1) // text
			wrong.addr = (taddr_t)(uintptr_t)gen_table;
		if (i == 2) { // not prepared: the stack of the first thread
			TRY(add_patches(c, 0, 0));
			commit_reset(c, n[i]);
		}
		TRY(process_freeze(p, monotonic_ns() + 1000000000, NULL));
		if (i == 2)
			wrong.addr = p->threads.v[0].regs.rsp & ~7ull;
		if (i == 3)
			wrong.addr = 4096; // nothing there
		wrong.old_bytes[7] = 0x77;
		TRY(commit_add(c, &wrong));
		if (!commit_add(c, &wrong))
			return err_new(ERR_INTERNAL, "two patches of one place");
		e = commit_execute(c);
		TRY(process_thaw(p, NULL));
		if (!e || e->kind != (i == 3 ? e->kind : ERR_ROLLED_BACK) || !e->code ||
		    strcmp(e->code, i == 1 ? "text-changed" : "data-changed"))
			return err_new(ERR_INTERNAL, "%u: wrong verdict %s", i,
				       e ? e->message : "none");
		err_free(e);
	}
	return commit_finish(c);
}

START_TEST(mismatch_changes_nothing)
{
	struct target t;

	started(&t);
	ck_assert_int_eq(
		tool_run(&t, mismatch_tool, (taddr_t)(uintptr_t)gen_table, NULL, 0), 0);
	ck_assert_uint_eq(peek(&t, &generation), 0);
	victim_check(&t);
	victim_check_clean(&t);
	victim_end(&t);
}
END_TEST

// Many patches, with ten threads and read-only pages far from each other.
enum { MANY = 5000, APART = 64, FAR_PAGES = 400, MANY_THREADS = 10 };
static uint8_t *many, *far_pages;

__attribute__((noreturn)) static void *idle(void *arg)
{
	for (;; mine->rounds[(uintptr_t)arg]++)
		nap_us(1000);
}

static void many_victim(struct shared *s)
{
	pthread_t t;

	mine = s;
	for (uintptr_t i = 1; i < MANY_THREADS; i++)
		pthread_create(&t, NULL, idle, (void *)i);
	idle(NULL);
}

static struct err *many_once(struct target *t, struct process *p, struct commit *c,
			     unsigned n, uint64_t times[5])
{
	uint64_t t0 = monotonic_ns(), first, last;
	struct commit_times ct;
	struct maps maps;
	(void)t;

	VEC(struct commit_span) spans = {0};
	for (unsigned i = 0; i < n; i++) {
		struct patch patch = {.len = 8, .what = "many"};

		patch.addr = i < FAR_PAGES ? (taddr_t)(uintptr_t)far_pages + i * 8192 + i
					   : (taddr_t)(uintptr_t)many + i * APART + i % 8;
		TRY(mem_read(p->pid, patch.addr, patch.old_bytes, 8));
		memcpy(patch.new_bytes, patch.old_bytes, 8);
		patch.new_bytes[i % 8]++;
		TRY(commit_add(c, &patch));
		TRY(vec_push(&spans, (struct commit_span){patch.addr, 8}));
	}
	TRY(maps_read(p->pid, &maps));
	struct err *e = commit_prepare_ranges(c, &maps, spans.v, spans.n);
	maps_deinit(&maps);
	vec_free(&spans);
	TRY(e);
	times[0] = monotonic_ns() - t0;
	TRY(process_freeze(p, monotonic_ns() + 1000000000, &first));
	e = commit_execute(c);
	TRY(process_thaw(p, &last));
	TRY(e);
	t0 = monotonic_ns();
	TRY(commit_finish(c));
	commit_times(c, &ct);
	times[1] = monotonic_ns() - t0;
	times[2] = ct.log;
	times[3] = ct.gates;
	times[4] = ct.run;
	return NULL;
}

static struct err *many_tool(struct target *t, struct process *p, struct helper *h)
{
	static const unsigned sizes[] = {30, 1000, MANY};
	uint64_t us[5];

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_(commit_freep) struct commit *c = NULL;

		TRY(commit_create(p, h, (taddr_t)(uintptr_t)gen_table, sizes[i],
				  MANY_THREADS, &c));
		TRY(many_once(t, p, c, sizes[i], us));
		if (getenv("MOLT_TEST_VERBOSE"))
			fprintf(stderr, "%u patches: prepare %llu finish %llu log %llu gates %llu run %llu us\n",
				sizes[i], (unsigned long long)us[0] / 1000,
				(unsigned long long)us[1] / 1000,
				(unsigned long long)us[2] / 1000,
				(unsigned long long)us[3] / 1000,
				(unsigned long long)us[4] / 1000);
	}
	return NULL;
}

START_TEST(thousands_of_patches)
{
	struct target t;

	many = mmap(NULL, MANY * APART + 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	far_pages = mmap(NULL, FAR_PAGES * 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	t = victim_start(many_victim, MANY_THREADS);
	victim_check(&t);
	ck_assert_int_eq(tool_run(&t, many_tool, (taddr_t)(uintptr_t)gen_table, NULL, 0),
			 0);
	for (unsigned i = 0; i < MANY; i++) {
		uint8_t now[8], want[8] = {0};
		uint8_t *at = i < FAR_PAGES ? far_pages + i * 8192 + i
					    : many + i * APART + i % 8;
		struct err *e = mem_read(t.pid, (taddr_t)(uintptr_t)at, now, 8);

		ck_assert_ptr_null(e);
		want[i % 8] = (uint8_t)(1 + (i < 1000) + (i < 30));
		ck_assert_mem_eq(now, want, 8);
	}
	victim_check(&t);
	victim_check_clean(&t);
	victim_end(&t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("commit");
	TCase *t = tcase_create("commit");

	tcase_set_timeout(t, 600);
	tcase_add_test(t, commits_change_all_at_once);
	tcase_add_test(t, undo_puts_all_back);
	tcase_add_test(t, mismatch_changes_nothing);
	tcase_add_test(t, thousands_of_patches);
	tcase_add_test(t, faults_that_fail);
	tcase_add_test(t, faults_that_kill);
	tcase_add_test(t, two_tools_do_not_meet);
	tcase_add_test(t, killed_while_the_process_is_stopped);
	tcase_add_test(t, killed_at_random);
	tcase_add_test(t, killed_in_the_stop);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
