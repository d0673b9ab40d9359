// SPDX-License-Identifier: LGPL-2.1-or-later
// Changes of a whole process by lists that its own threads execute: made as a whole or not at all, whenever the tool is
// killed.
#include <check.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "arch/x86_64/ask.h"
#include "process/ask.h"
#include "tool_child.h"

enum { THREADS = 5, WORDS = 512, ROOM = 1 << 17 };
static const uint64_t MS = 1000000;

static volatile uint64_t words[WORDS]; // all equal, whenever the victim looks
static bool want_scatter;

static void watch(struct shared *s, unsigned me)
{
	for (;;) {
		uint64_t first = words[0];

		for (unsigned i = 1; i < WORDS; i++)
			if (words[i] != first && words[0] == first)
				s->bad[me] = words[i];
		s->rounds[me]++;
		if (me % 2) {
			struct timespec nap = {0, 300000};
			if (nanosleep(&nap, NULL))
				s->bad[me] = 0xe111;
		}
	}
}

struct start {
	struct shared *s;
	unsigned me;
};

static void *other(void *arg)
{
	struct start *st = arg;

	watch(st->s, st->me);
	return NULL;
}

static void body(struct shared *s)
{
	static struct start st[THREADS];
	pthread_t id;

	for (unsigned i = 1; i < THREADS; i++) {
		st[i] = (struct start){s, i};
		pthread_create(&id, NULL, other, &st[i]);
	}
	watch(s, 0);
}

// Where the thread ends up stands in its own list; each word is one request.
static struct err *fill(struct target *t, struct process *p, struct remote *r)
{
	struct syscall_req *reqs = remote_take(r, WORDS * sizeof(*reqs));
	uint64_t *value = remote_take(r, sizeof(*value));
	struct clone_args *args = remote_take(r, sizeof(*args));
	pid_t made;

	if (!reqs || !value || !args)
		return err_nomem();
	*value = t->shared->stats[0] + 1;
	for (size_t i = 0; i < WORDS; i++)
		reqs[i] = (struct syscall_req){
			.nr = ASK_COPY,
			.args = {(uint64_t)&words[i], remote_at(r, value), sizeof(*value)}};
	// A thread that is made and ends again, decided or not.
	*args = (struct clone_args){.flags = CLONE_VM | CLONE_FS | CLONE_FILES |
					     CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM};
	TRY(ask_spawn(r, remote_at(r, args), sizeof(*args), &made));
	if (made < 0)
		return err_sys(-made, "clone3");
	vec_for_each(th, &p->threads) {
		struct ask_finish f = {.regs = &th->regs, .sigmask = th->sigmask};

		if (th->tid == p->pid) {
			f.list = remote_at(r, reqs);
			f.n = WORDS;
		}
		f.ends = th->tid == made;
		TRY(ask_finish(r, th->tid, &f));
	}
	// A folder that is left again when it is not decided.
	char *root = remote_take(r, 2), *old = remote_take(r, 256);
	int64_t ret;
	root[0] = '/';
	TRY(remote_call(r, SYS_getcwd, (uint64_t[6]){remote_at(r, old), 256}, &ret));
	TRY(ask_undo(
		r, &(struct syscall_req){.nr = SYS_chdir, .args = {remote_at(r, old)}}));
	return remote_call(r, SYS_chdir, (uint64_t[6]){remote_at(r, root)}, &ret);
}

static struct err *in_the_stop(struct target *t, struct process *p, struct remote *r)
{
	bool decided = false;

	TRY(process_freeze(p, monotonic_ns() + 2000 * MS, NULL));
	struct err *e = ask_gather(r, p->pid);
	if (!e)
		e = fill(t, p, r);
	if (!e && !want_scatter)
		e = ask_decide(r, &decided);
	if (!decided)
		e = err_first(e, ask_scatter(r));
	return err_first(e, process_thaw(p, NULL));
}

static struct err *tool(struct target *t, struct process *p, struct helper *h)
{
	struct remote *r;

	TRY(ask_create_journal(p, h, ROOM, 64, &r));
	struct err *e = in_the_stop(t, p, r);
	return err_first(e, ask_free(r));
}

static uint64_t word_of(const struct target *t, size_t i)
{
	uint64_t v = 0;

	struct err *e = mem_read(t->pid, (taddr_t)&words[i], &v, sizeof(v));
	ck_assert_ptr_null(e);
	return v;
}

static bool in_root(const struct target *t)
{
	char path[64], cwd[256] = "";

	snprintf(path, sizeof(path), "/proc/%d/cwd", t->pid);
	ck_assert_int_gt(readlink(path, cwd, sizeof(cwd) - 1), 0);
	return !strcmp(cwd, "/");
}

// Everything or nothing.
static void check(struct target *t, bool *changed)
{
	victim_check(t);
	uint64_t v = word_of(t, 0);
	for (size_t i = 1; i < WORDS; i++)
		ck_assert_uint_eq(word_of(t, i), v);
	*changed = v == t->shared->stats[0] + 1;
	ck_assert(*changed || v == t->shared->stats[0]);
	t->shared->stats[0] = v;
}

static void start(struct target *t)
{
	ck_assert_int_eq(chdir("/tmp"), 0);
	*t = victim_start(body, THREADS);
	while (count_threads(t->pid) < THREADS)
		nap_us(1000);
}

START_TEST(decided_and_not)
{
	struct target t;
	bool changed;

	start(&t);
	want_scatter = true;
	ck_assert_int_eq(tool_run(&t, tool, 0, NULL, 0), 0);
	ck_assert(!in_root(&t));
	for (int i = 0; i < 20; i++) {
		want_scatter = i % 2;
		ck_assert_int_eq(tool_run(&t, tool, 0, NULL, 0), 0);
		check(&t, &changed);
		ck_assert_int_eq(changed, !want_scatter);
		victim_check_clean(&t);
		ck_assert(in_root(&t));
		if (i == 1)
			ck_assert_uint_eq(t.shared->stats[0], 1);
	}
	want_scatter = false;
	victim_end(&t);
}
END_TEST

static void faults(const char *prefix)
{
	size_t n;
	const struct fault_info *f = fault_list(&n);
	struct target t;
	char fault[64];
	bool changed, killed = *prefix;

	start(&t);
	for (size_t i = 0; i < n; i++) {
		if (strncmp(f[i].name, "rollback-", 9) && strncmp(f[i].name, "ask-", 4))
			continue;
		if (!strcmp(f[i].name, "ask-channel"))
			continue;
		want_scatter = !strcmp(f[i].name, "rollback-undone");
		snprintf(fault, sizeof(fault), "%s%s", prefix, f[i].name);
		int status = tool_run(&t, tool, 0, fault, 0);
		ck_assert_msg(killed ? WIFSIGNALED(status) : WIFEXITED(status), "%s",
			      fault);
		check(&t, &changed);
		bool want = !strcmp(f[i].name, "rollback-decided") ||
			    !strcmp(f[i].name, "rollback-done") ||
			    (!killed && !strcmp(f[i].name, "ask-running"));
		ck_assert_msg(changed == want, "%s: %d", fault, changed);
		want_scatter = false;
		ck_assert_msg(tool_run(&t, tool, 0, NULL, 0) == 0, "after %s", fault);
		check(&t, &changed);
		ck_assert(changed);
		victim_check_clean(&t);
	}
	victim_end(&t);
}

START_TEST(faults_that_fail)
{
	faults("");
}
END_TEST

START_TEST(faults_that_kill)
{
	faults("kill:");
}
END_TEST

START_TEST(killed_at_random)
{
	unsigned done = 0, kills = env_number("MOLT_TEST_KILLS", 60);
	struct target t;
	bool changed;

	start(&t);
	for (unsigned i = 0; i < kills; i++) {
		want_scatter = i % 4 == 3;
		tool_run(&t, tool, 0, NULL, 1000 + i * 7919 % 25000);
		check(&t, &changed);
		done += changed;
	}
	printf("journal: %u kills, %u changes made\n", kills, done);
	victim_end(&t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("journal");
	TCase *t = tcase_create("journal");

	tcase_set_timeout(t, 55);
	tcase_add_test(t, decided_and_not);
	tcase_add_test(t, faults_that_fail);
	tcase_add_test(t, faults_that_kill);
	tcase_add_test(t, killed_at_random);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failures = srunner_ntests_failed(r);
	srunner_free(r);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
