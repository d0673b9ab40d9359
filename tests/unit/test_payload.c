// SPDX-License-Identifier: LGPL-2.1-or-later
// The injected code, run inside the test's own process: threads are sent through the
// gates by a signal handler that changes the interrupted context, as the tool does with
// PTRACE_SETREGS.
#include <check.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "arch/x86_64/payload.h"

enum { AREA = 16 * PAYLOAD_PAGE, LOG_OFF = CH_SIZE, MAX_LOG = 64, THREADS = 4 };
enum {
	RECORDS_OFF = LOG_OFF + MAX_LOG * CL_SIZE,
	STUBS = 8 * PAYLOAD_PAGE,
	RANGES_OFF = 6 * PAYLOAD_PAGE
};

static uint8_t *area;
static struct commit_header *head;

static struct commit_record *record(unsigned i)
{
	return (struct commit_record *)((uint8_t *)head + RECORDS_OFF) + i;
}

static struct commit_log_entry *entry(unsigned i)
{
	return (struct commit_log_entry *)((uint8_t *)head + LOG_OFF) + i;
}

static void make_area(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, AREA), 0);
	area = mmap(NULL, AREA, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(area, MAP_FAILED);
	close(fd);
	ck_assert_int_le(payload_commit_end - payload_commit, PAYLOAD_PAGE);
	ck_assert_int_le(payload_gates_end - payload_gates, PAYLOAD_PAGE);
	head = (void *)(area + PAYLOAD_PAGE);
}

static void make_commit_area(void)
{
	make_area();
	memcpy(area, payload_commit, (size_t)(payload_commit_end - payload_commit));
	head->word = (uint64_t)&head->decision;
	head->log_off = LOG_OFF;
	head->ranges_off = RANGES_OFF;
	for (unsigned i = 0; i < THREADS; i++) {
		struct thread_state_rec *s[2] = {&record(i)->old_state,
						 &record(i)->new_state};

		for (unsigned k = 0; k < 2; k++) {
			s[k]->exit_stub =
				(uint64_t)(area + STUBS + (2 * i + k) * PAYLOAD_STUB);
			payload_exit_stub(area + STUBS + (2 * i + k) * PAYLOAD_STUB,
					  s[k]->exit_stub, (uint64_t)s[k]);
		}
	}
}

static uint64_t call(uint32_t offset, uint64_t arg)
{
	return ((uint64_t(*)(uint64_t))(uintptr_t)(area + offset))(arg);
}

static void log_put(unsigned i, void *at, uint32_t len, const void *old, const void *new)
{
	entry(i)->addr = (uint64_t)at;
	entry(i)->len = len;
	memcpy(entry(i)->old_bytes, old, len);
	memcpy(entry(i)->new_bytes, new, len);
	if (head->n_log <= i)
		head->n_log = i + 1;
}

START_TEST(run_writes_every_length)
{
	char text[8][8] = {"aaaaaaaa", "aaaaaaaa", "aaaaaaaa", "aaaaaaaa",
			   "aaaaaaaa", "aaaaaaaa", "aaaaaaaa", "aaaaaaaa"};

	make_commit_area();
	for (unsigned i = 0; i < 8; i++)
		log_put(i, text[i], i + 1, "aaaaaaaa", "12345678");
	ck_assert_uint_eq(call(payload_commit_run, 0), RUN_DONE);
	ck_assert_uint_eq(head->decision, COMMIT_DECIDED);
	ck_assert_uint_eq(head->done, 1);
	for (unsigned i = 0; i < 8; i++) {
		ck_assert_mem_eq(text[i], "12345678", i + 1);
		ck_assert_mem_eq(text[i] + i + 1, "aaaaaaaa", 7 - i);
	}
	// A second execution must not write again: the program may have gone on with the
	// data.
	text[7][0] = 'x';
	ck_assert_uint_eq(call(payload_commit_redo, 0), RUN_DONE);
	ck_assert_int_eq(text[7][0], 'x');
	head->decision = COMMIT_UNDOING;
	ck_assert_uint_eq(call(payload_commit_undo, 0), RUN_DONE);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_mem_eq(text[i], "aaaaaaaa", 8);
}
END_TEST

START_TEST(run_refuses)
{
	char text[8][8] = {"aaaaaaaa", "aaaaaaaa", "aaaaaaaa", "aaaaaaaa",
			   "aaaaaaaa", "aaaaaaaa", "aaaaaaaa", "aaaaaaaa"};
	struct commit_range *range;

	make_commit_area();
	range = (void *)((uint8_t *)head + RANGES_OFF);
	for (unsigned i = 0; i < 8; i++)
		log_put(i, text[i], i + 1, "aaaaaaaa", "12345678");
	for (unsigned i = 0; i < 8; i++) {
		text[i][i] = 'b';
		ck_assert_uint_eq(call(payload_commit_run, 0), RUN_MISMATCH);
		ck_assert_uint_eq(head->failed, i);
		ck_assert_uint_eq(head->decision, COMMIT_UNDECIDED);
		text[i][i] = 'a';
	}
	uint8_t *pages = mmap(NULL, 3 * PAYLOAD_PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char in[3];
	range[1] = (struct commit_range){.addr = (uint64_t)pages, .len = PAYLOAD_PAGE};
	range[2] = (struct commit_range){.addr = (uint64_t)pages + 2 * PAYLOAD_PAGE,
					 .len = PAYLOAD_PAGE};
	ck_assert_uint_eq(call(payload_commit_touch, 1 | 2ull << 32), 0);
	ck_assert_int_eq(mincore(pages, 3 * PAYLOAD_PAGE, in), 0);
	ck_assert_int_eq(in[0] & 1, 1);
	ck_assert_int_eq(in[1] & 1, 0);
	ck_assert_int_eq(in[2] & 1, 1);
	munmap(pages, 3 * PAYLOAD_PAGE);
	head->decision = COMMIT_ABORTED;
	ck_assert_uint_eq(call(payload_commit_run, 0), RUN_NOT_OURS);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_mem_eq(text[i], "aaaaaaaa", 8);
	head->decision = COMMIT_UNDECIDED;
	ck_assert_uint_eq(call(payload_commit_run, 1), RUN_DONE);
	ck_assert_uint_eq(head->decision, COMMIT_DECIDED);
	ck_assert_uint_eq(head->done, 0);
	ck_assert_mem_eq(text[0], "aaaaaaaa", 8);
}
END_TEST

// Two equal loops that hold a pattern in every register and in the flags and check both
// each round. rdi: {flags, rounds, stop, bad, copy}. The copy number is what a moved pc
// changes.
struct loop {
	uint64_t flags, rounds, stop, bad;
	uint64_t in[2];
};
void check_loop(struct loop *l);
extern const uint8_t loop_a[], loop_b[], loop_end[];
#define LOOP(name, n)                                                                   \
	name ":\n mov 0(%rdi), %rax\n incq " n "(%rdi)\n push %rax\n popfq\n"           \
	     ".rept 40\n nop\n.endr\n"                                                  \
	     "pushfq\n cld\n pop %rcx\n xor %rax, %rcx\n and $0xcd5, %rcx\n jnz 9f\n"   \
	     "cmp $0x11, %rbx\n jne 9f\n cmp $0x22, %rbp\n jne 9f\n cmp $0x33, %rsi\n " \
	     "jne 9f\n"                                                                 \
	     "cmp $0x44, %rdx\n jne 9f\n cmp $0x55, %r8\n jne 9f\n cmp $0x66, %r9\n "   \
	     "jne 9f\n"                                                                 \
	     "cmp $0x77, %r10\n jne 9f\n cmp $0x88, %r11\n jne 9f\n cmp $0x99, %r12\n " \
	     "jne 9f\n"                                                                 \
	     "cmp $0xaa, %r13\n jne 9f\n cmp $0xbb, %r14\n jne 9f\n cmp $0xcc, %r15\n " \
	     "jne 9f\n"                                                                 \
	     "incq 8(%rdi)\n cmpq $0, 16(%rdi)\n je " name "\n jmp 8f\n"                \
	     "9: incq 24(%rdi)\n"                                                       \
	     "8: pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n "    \
	     "ret\n"
__asm__(".text\n.globl check_loop, loop_a, loop_b, loop_end\n"
	"check_loop: push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push "
	"%r15\n"
	"mov $0x11, %rbx\n mov $0x22, %rbp\n mov $0x33, %rsi\n mov $0x44, %rdx\n mov "
	"$0x55, %r8\n"
	"mov $0x66, %r9\n mov $0x77, %r10\n mov $0x88, %r11\n mov $0x99, %r12\n mov "
	"$0xaa, %r13\n"
	"mov $0xbb, %r14\n mov $0xcc, %r15\n" LOOP("loop_a", "32")
		LOOP("loop_b", "40") "loop_end:\n");

static atomic_uint in_gate;
static _Thread_local unsigned my_record;

static void state_from(struct thread_state_rec *s, const ucontext_t *u)
{
	const greg_t *g = u->uc_mcontext.gregs;

	s->r15 = (uint64_t)g[REG_R15], s->r14 = (uint64_t)g[REG_R14];
	s->r13 = (uint64_t)g[REG_R13], s->r12 = (uint64_t)g[REG_R12];
	s->r11 = (uint64_t)g[REG_R11], s->r10 = (uint64_t)g[REG_R10];
	s->r9 = (uint64_t)g[REG_R9], s->r8 = (uint64_t)g[REG_R8];
	s->rax = (uint64_t)g[REG_RAX], s->rbx = (uint64_t)g[REG_RBX];
	s->rcx = (uint64_t)g[REG_RCX], s->rdx = (uint64_t)g[REG_RDX];
	s->rsi = (uint64_t)g[REG_RSI], s->rdi = (uint64_t)g[REG_RDI];
	s->rbp = (uint64_t)g[REG_RBP], s->rsp = (uint64_t)g[REG_RSP];
	s->rip = (uint64_t)g[REG_RIP], s->flags = (uint64_t)g[REG_EFL];
	memcpy(&s->sigmask, &u->uc_sigmask, 8);
}

static void to_gate(int sig, siginfo_t *info, void *ctx)
{
	ucontext_t *u = ctx;
	struct commit_record *r = record(my_record);
	uint64_t pc = (uint64_t)u->uc_mcontext.gregs[REG_RIP];

	(void)sig, (void)info;
	state_from(&r->old_state, u);
	uint64_t stub = r->new_state.exit_stub;
	r->new_state = r->old_state;
	r->old_state.exit_stub = (uint64_t)(area + STUBS + 2 * my_record * PAYLOAD_STUB);
	r->new_state.exit_stub = stub;
	if (pc >= (uint64_t)loop_a && pc < (uint64_t)loop_b)
		r->new_state.rip += (uint64_t)(loop_b - loop_a);
	u->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)(area + payload_commit_gate);
	u->uc_mcontext.gregs[REG_R15] = (greg_t)(uintptr_t)r;
	sigfillset(&u->uc_sigmask);
	atomic_fetch_add(&in_gate, 1);
	while (atomic_load(&in_gate) < THREADS) // all go into their gates together
		sched_yield();
}

struct looper {
	pthread_t thread;
	struct loop loop;
	unsigned index;
};

static void *looper_main(void *arg)
{
	struct looper *l = arg;

	my_record = l->index;
	check_loop(&l->loop);
	return NULL;
}

static void wait_for(const uint32_t *word, uint32_t value)
{
	for (unsigned i = 0; i < 5000 && __atomic_load_n(word, __ATOMIC_ACQUIRE) != value;
	     i++)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	ck_assert_uint_eq(*word, value);
}

static void gate_rounds(unsigned decision, unsigned rounds)
{
	static const uint64_t flags[] = {0x202, 0xa06, 0x602, 0xed7,
					 0x283, 0x8c7, 0x212, 0xa02};
	struct looper l[THREADS] = {0};
	char word[8] = "aaaaaaaa";

	make_commit_area();
	for (unsigned i = 0; i < MAX_LOG; i++)
		log_put(i, word, 8, "aaaaaaaa", "bbbbbbbb");
	sigaction(SIGUSR1,
		  &(struct sigaction){.sa_sigaction = to_gate, .sa_flags = SA_SIGINFO},
		  NULL);
	for (unsigned i = 0; i < THREADS; i++) {
		l[i].index = i;
		l[i].loop.flags = flags[i];
		pthread_create(&l[i].thread, NULL, looper_main, &l[i]);
		while (!__atomic_load_n(&l[i].loop.rounds, __ATOMIC_ACQUIRE))
			sched_yield();
	}
	for (unsigned k = 0; k < rounds; k++) {
		head->decision = decision;
		head->lock = head->done = head->unlock = head->undone = 0;
		atomic_store(&in_gate, 0);
		for (unsigned i = 0; i < THREADS; i++) {
			record(i)->left = 0;
			l[i].loop.flags = flags[(i + k) % 8];
		}
		for (unsigned i = 0; i < THREADS; i++)
			pthread_kill(l[i].thread, SIGUSR1);
		for (unsigned i = 0; i < THREADS; i++) {
			wait_for(&record(i)->left, 1);
			// A round of its loop shows that it is out of the gate's last steps.
			uint64_t now = l[i].loop.rounds;
			while (__atomic_load_n(&l[i].loop.rounds, __ATOMIC_ACQUIRE) == now)
				sched_yield();
		}
		ck_assert_uint_eq(head->decision, decision == COMMIT_UNDECIDED
							  ? COMMIT_ABORTED
							  : decision);
		ck_assert_mem_eq(word,
				 decision == COMMIT_DECIDED ? "bbbbbbbb" : "aaaaaaaa", 8);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		l[i].loop.stop = 1;
		pthread_join(l[i].thread, NULL);
		ck_assert_uint_eq(l[i].loop.bad, 0);
		if (decision == COMMIT_DECIDED)
			ck_assert_uint_gt(l[i].loop.in[1], 0);
		else
			ck_assert_uint_eq(l[i].loop.in[1], 0);
	}
}

START_TEST(gate_undecided_goes_back)
{
	gate_rounds(COMMIT_UNDECIDED, 20);
}
END_TEST

START_TEST(gate_decided_goes_on)
{
	gate_rounds(COMMIT_DECIDED, 20);
}
END_TEST

START_TEST(gate_undoing_goes_back)
{
	gate_rounds(COMMIT_UNDOING, 10);
}
END_TEST

// Return gates.
static struct gate_header *gates;

static struct gate_slot *slot(unsigned i)
{
	return (struct gate_slot *)(gates + 1) + i;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void make_gates(void)
{
	make_area();
	memcpy(area, payload_gates, (size_t)(payload_gates_end - payload_gates));
	gates = (void *)head;
	gates->hold = 1;
	gates->lease = UINT64_MAX;
	gates->hold_ns = 15000000;
	gates->slice_nsec = 1000000;
	gates->n_slots = THREADS;
	for (unsigned i = 0; i < THREADS; i++)
		payload_gate_stub(area + STUBS + i * PAYLOAD_STUB,
				  (uint64_t)area + STUBS + i * PAYLOAD_STUB, i,
				  (uint64_t)area + payload_gates_common);
}

struct two {
	uint64_t a, b;
};

static void plant(unsigned i, volatile uint64_t *ret)
{
	slot(i)->real = *ret;
	slot(i)->addr = (uint64_t)ret;
	__atomic_store_n(&slot(i)->state, GATE_PLANTED, __ATOMIC_RELEASE);
	*ret = (uint64_t)area + STUBS + i * PAYLOAD_STUB;
}

__attribute__((noinline, noipa, optimize("no-omit-frame-pointer"))) static struct two gated_two(
	unsigned i, uint64_t a, uint64_t b)
{
	plant(i, (volatile uint64_t *)__builtin_frame_address(0) + 1);
	return (struct two){a, b};
}

__attribute__((noinline, noipa, optimize("no-omit-frame-pointer"))) static double gated_double(
	unsigned i, double x)
{
	plant(i, (volatile uint64_t *)__builtin_frame_address(0) + 1);
	return x * 2;
}

__attribute__((noinline, noipa, optimize("no-omit-frame-pointer"))) static unsigned gated_recursion(
	unsigned depth)
{
	plant(depth, (volatile uint64_t *)__builtin_frame_address(0) + 1);
	if (depth + 1 == THREADS)
		return 1;
	return gated_recursion(depth + 1) * 2;
}

START_TEST(gate_holds_for_a_bounded_time)
{
	make_gates();
	uint64_t start = now_ns();
	struct two t = gated_two(1, 0x123456789abcdef0, 42);
	uint64_t took = now_ns() - start;
	ck_assert_uint_eq(t.a, 0x123456789abcdef0);
	ck_assert_uint_eq(t.b, 42);
	ck_assert_uint_ge(took, 15000000);
	ck_assert_uint_lt(took, 1000000000);
	ck_assert_uint_eq(slot(1)->state, GATE_LEFT);
	ck_assert_uint_eq(gates->arrivals, 1);
	ck_assert_double_eq(gated_double(2, 1.25), 2.5);
	ck_assert_uint_eq(gated_recursion(0), 1u << (THREADS - 1));
	ck_assert_uint_eq(gates->arrivals, 2 + THREADS);
	gates->lease = now_ns(); // as if the tool had died
	start = now_ns();
	ck_assert_double_eq(gated_double(2, 1.25), 2.5);
	gates->lease = UINT64_MAX;
	gates->hold = 0;
	ck_assert_double_eq(gated_double(2, 1.25), 2.5);
	ck_assert_uint_lt(now_ns() - start, 5000000);
}
END_TEST

static void *gated_thread(void *arg)
{
	unsigned i = *(unsigned *)arg;

	return (void *)(uintptr_t)gated_two(i, i + 100, 0).a;
}

static void nothing(int sig)
{
	(void)sig;
}

START_TEST(gate_lets_go_when_told)
{
	pthread_t t[THREADS];
	unsigned index[THREADS];
	void *ret;

	make_gates();
	gates->hold_ns = 5000000000;
	signal(SIGUSR2, nothing);
	for (unsigned i = 0; i < THREADS; i++) {
		index[i] = i;
		pthread_create(&t[i], NULL, gated_thread, &index[i]);
	}
	wait_for(&gates->arrivals, THREADS);
	for (unsigned k = 0; k < 100; k++)
		pthread_kill(t[k % THREADS], SIGUSR2);
	uint64_t start = now_ns();
	__atomic_store_n(&gates->hold, 0, __ATOMIC_RELEASE);
	syscall(SYS_futex, &gates->hold, FUTEX_WAKE, THREADS, NULL, NULL, 0);
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(t[i], &ret);
		ck_assert_uint_eq((uintptr_t)ret, i + 100);
	}
	ck_assert_uint_lt(now_ns() - start, 1000000000);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("payload");
	TCase *t = tcase_create("payload");

	tcase_set_timeout(t, 30);
	tcase_add_test(t, run_writes_every_length);
	tcase_add_test(t, run_refuses);
	tcase_add_test(t, gate_undecided_goes_back);
	tcase_add_test(t, gate_decided_goes_on);
	tcase_add_test(t, gate_undoing_goes_back);
	tcase_add_test(t, gate_holds_for_a_bounded_time);
	tcase_add_test(t, gate_lets_go_when_told);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
