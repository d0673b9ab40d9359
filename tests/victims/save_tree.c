// SPDX-License-Identifier: LGPL-2.1-or-later
// A parent with workers: pipes between them, groups and sessions of their own, a grandchild, shared memory, ended children that
// nobody has collected; and a pipeline.
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/victims/self.h"

enum { WORKERS = 4 };

static struct worker {
	int to, from;
	pid_t pid, pgid, sid;
} workers[WORKERS];
static uint64_t *shared;
static pid_t zombie_exit, zombie_signal;
static int line_in, line_out; // of the pipeline

struct answer {
	pid_t pid, ppid, pgid, sid, grandchild;
	int right;
};

static void work(int in, int out, int which)
{
	uint64_t secret = 4711 + (uint64_t)which;
	pid_t grandchild = 0;
	char c;

	if (which == 1)
		setpgid(0, 0);
	if (which == 2)
		setsid();
	if (which == 3) {
		grandchild = fork();
		if (!grandchild)
			for (;;)
				pause();
	}
	for (;;) {
		if (read(in, &c, 1) != 1)
			_exit(0);
		__atomic_add_fetch(shared, 1, __ATOMIC_SEQ_CST);
		struct answer a = {.pid = getpid(),
				   .ppid = getppid(),
				   .pgid = getpgid(0),
				   .sid = getsid(0),
				   .grandchild = grandchild,
				   .right = secret == 4711 + (uint64_t)which};
		if (write(out, &a, sizeof(a)) != sizeof(a))
			_exit(1);
	}
}

static void start(int i)
{
	int to[2], from[2];

	must(pipe(to));
	must(pipe(from));
	pid_t pid = must(fork());
	if (!pid) {
		close(to[1]);
		close(from[0]);
		work(to[0], from[1], i);
	}
	close(to[0]);
	close(from[1]);
	workers[i] = (struct worker){.to = to[1], .from = from[0], .pid = pid};
}

static struct answer ask(const struct worker *w)
{
	struct answer a = {0};

	if (write(w->to, "?", 1) != 1 || read(w->from, &a, sizeof(a)) != sizeof(a))
		expect(false, "worker %d does not answer", w->pid);
	return a;
}

static void check_worker(struct worker *w, int i)
{
	struct answer a = ask(w);

	expect(a.right && a.pid == w->pid, "worker %d is %d", w->pid, a.pid);
	expect(a.ppid == getpid(), "worker %d has the parent %d", i, a.ppid);
	expect(a.pgid == w->pgid, "worker %d is in group %d, not %d", i, a.pgid, w->pgid);
	expect(a.sid == w->sid, "worker %d is in session %d, not %d", i, a.sid, w->sid);
	if (a.grandchild)
		expect(!kill(a.grandchild, 0), "the grandchild is gone");
}

static void check_zombies(void)
{
	siginfo_t si = {0};

	expect(!waitid(P_PID, (id_t)zombie_exit, &si, WEXITED | WNOWAIT | WNOHANG) &&
		       si.si_pid == zombie_exit && si.si_code == CLD_EXITED &&
		       si.si_status == 7,
	       "the child that exited: pid %d code %d status %d", si.si_pid, si.si_code,
	       si.si_status);
	memset(&si, 0, sizeof(si));
	expect(!waitid(P_PID, (id_t)zombie_signal, &si, WEXITED | WNOWAIT | WNOHANG) &&
		       si.si_pid == zombie_signal && si.si_code == CLD_KILLED &&
		       si.si_status == SIGTERM,
	       "the child that was killed: pid %d code %d status %d", si.si_pid,
	       si.si_code, si.si_status);
}

static void check(void)
{
	uint64_t before = *shared;
	char c = 'a';

	for (int i = 0; i < WORKERS; i++)
		check_worker(&workers[i], i);
	expect(*shared == before + WORKERS, "shared memory is not shared: %ju",
	       (uintmax_t)*shared);
	check_zombies();
	expect(write(line_in, &c, 1) == 1 && read(line_out, &c, 1) == 1 && c == 'A',
	       "the pipeline");
}

static void start_pipeline(void)
{
	int in[2], out[2];

	must(pipe(in));
	must(pipe(out));
	if (!must(fork())) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[1]);
		close(out[0]);
		for (char c; read(0, &c, 1) == 1;) {
			c = (char)(c - 'a' + 'A');
			if (write(1, &c, 1) != 1)
				break;
		}
		_exit(0);
	}
	close(in[0]);
	close(out[1]);
	line_in = in[1];
	line_out = out[0];
}

static pid_t end(int how)
{
	pid_t pid = must(fork());
	siginfo_t si;

	if (!pid) {
		if (how)
			raise(how);
		_exit(7);
	}
	must(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT));
	return pid;
}

int main(void)
{
	self_block();
	shared = must((uint64_t *)mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	for (int i = 0; i < WORKERS; i++)
		start(i);
	for (int i = 0; i < WORKERS; i++) {
		struct answer a = ask(&workers[i]);

		workers[i].pgid = a.pgid;
		workers[i].sid = a.sid;
	}
	zombie_exit = end(0);
	zombie_signal = end(SIGTERM);
	start_pipeline();
	self_run(check);
}
