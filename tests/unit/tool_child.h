// SPDX-License-Identifier: LGPL-2.1-or-later
// For tests with a real target: a victim process that shares a page of counters with the test, and tools
// that run as children of their own, so that they can be killed.
#pragma once

#include <check.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "process/commit.h"
#include "process/gate.h"
#include "process/memory.h"
#include "util/cleanup.h"

enum { VICTIM_THREADS_MAX = 16 };

struct shared {
	volatile uint64_t rounds[VICTIM_THREADS_MAX]; // each thread's progress
	volatile uint64_t bad[VICTIM_THREADS_MAX];    // each thread's findings
	volatile uint64_t stats[16];		      // told by the tools
	volatile pid_t tids[VICTIM_THREADS_MAX];
	volatile taddr_t frames[VICTIM_THREADS_MAX][8];
};

struct target {
	pid_t pid;
	unsigned n_threads;
	struct shared *shared;
};

static inline void nap_us(unsigned us)
{
	nanosleep(&(struct timespec){.tv_sec = us / 1000000,
				     .tv_nsec = us % 1000000 * 1000},
		  NULL);
}

static inline struct target victim_start(void (*body)(struct shared *), unsigned n_threads)
{
	struct target t = {.n_threads = n_threads};

	t.shared = mmap(NULL, sizeof(*t.shared), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(t.shared, MAP_FAILED);
	t.pid = fork();
	ck_assert_int_ge(t.pid, 0);
	if (!t.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		body(t.shared);
		_exit(3);
	}
	return t;
}

static inline unsigned count_threads(pid_t pid)
{
	char path[64];
	unsigned n = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *d = opendir(path);
	ck_assert_ptr_nonnull(d);
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

// The victim lives, every thread makes progress, nobody saw anything wrong, no thread is left behind.
static inline void victim_check(const struct target *t)
{
	uint64_t before[VICTIM_THREADS_MAX];
	int status;

	for (unsigned i = 0; i < t->n_threads; i++)
		before[i] = t->shared->rounds[i];
	ck_assert_int_eq(waitpid(t->pid, &status, WNOHANG), 0);
	for (unsigned i = 0; i < t->n_threads; i++) {
		for (unsigned k = 0; k < 5000 && t->shared->rounds[i] < before[i] + 2; k++)
			nap_us(1000);
		ck_assert_msg(t->shared->rounds[i] >= before[i] + 2, "thread %u hangs", i);
		ck_assert_msg(!t->shared->bad[i], "thread %u saw 0x%llx", i,
			      (unsigned long long)t->shared->bad[i]);
	}
	for (unsigned k = 0; k < 2000 && count_threads(t->pid) != t->n_threads; k++)
		nap_us(1000);
	ck_assert_uint_eq(count_threads(t->pid), t->n_threads);
	ck_assert_int_eq(waitpid(t->pid, &status, WNOHANG), 0);
}

static inline void victim_end(struct target *t)
{
	kill(t->pid, SIGKILL);
	waitpid(t->pid, NULL, 0);
	munmap(t->shared, sizeof(*t->shared));
}

// Nothing of molt is mapped, nothing is writable and executable.
static inline void victim_check_clean(const struct target *t)
{
	char path[64], line[512];

	snprintf(path, sizeof(path), "/proc/%d/maps", t->pid);
	FILE *f = fopen(path, "re");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f)) {
		ck_assert_msg(!strstr(line, "molt:"), "left behind: %s", line);
		ck_assert_msg(!strstr(line, "rwxp"), "left behind: %s", line);
	}
	fclose(f);
}

typedef struct err *tool_fn(struct target *t, struct process *p, struct helper *h);

static inline struct err *tool_main(struct target *t, tool_fn *fn, taddr_t near)
{
	_cleanup_(process_closep) struct process *p = NULL;
	_cleanup_(helper_stopp) struct helper *h = NULL;

	TRY(process_open(t->pid, &p));
	TRY(helper_start(p, near, &h));
	return fn(t, p, h);
}

// Runs a tool; `fault` goes to MOLT_FAULT, kill_us > 0 kills it then. Returns its wait status.
static inline int tool_run(struct target *t, tool_fn *fn, taddr_t near, const char *fault,
			   unsigned kill_us)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (!pid) {
		if (fault)
			setenv("MOLT_FAULT", fault, 1);
		struct err *e = tool_main(t, fn, near);
		if (e && !fault)
			fprintf(stderr, "tool: %s\n", e->message);
		_exit(e ? 1 : 0);
	}
	if (kill_us) {
		nap_us(kill_us);
		kill(pid, SIGKILL);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static inline unsigned env_number(const char *name, unsigned otherwise)
{
	const char *s = getenv(name);

	return s ? (unsigned)strtoul(s, NULL, 10) : otherwise;
}
