// SPDX-License-Identifier: LGPL-2.1-or-later
// Starting the filler and hearing of it; see filler.h.
#include "restore/filler.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "process/process.h"
#include "process/wait.h"
#include "restore/filler_impl.h"
#include "util/cleanup.h"

enum { LINE = 512 };

static void end_now(int status)
{
	for (;;)
		syscall(SYS_exit_group, status);
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

// All that the tool has open stays with the tool: the ends of pipes and connections above all.
static void close_others(const struct filler *f)
{
	VEC(int) keep = {};
	unsigned from = STDERR_FILENO + 1;
	struct err *e = vec_push(&keep, f->report);

	e = err_first(e, vec_push(&keep, f->begun));
	vec_for_each(s, &f->spaces->v) {
		e = err_first(e, vec_push(&keep, s->uffd));
		e = err_first(e, vec_push(&keep, s->pidfd));
		for (size_t i = 0; i < s->pending.v.n; i++)
			if (!i || s->pending.v.v[i].core != s->pending.v.v[i - 1].core)
				e = err_first(
					e,
					vec_push(&keep, core_fd(s->pending.v.v[i].core)));
	}
	if (e)
		end_now(1);
	qsort(keep.v, keep.n, sizeof(*keep.v), by_number);
	vec_for_each(fd, &keep) {
		if (*fd < (int)from)
			continue;
		if (*fd > (int)from)
			close_range(from, (unsigned)*fd - 1, 0);
		from = (unsigned)*fd + 1;
	}
	close_range(from, ~0U, 0);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd <= STDERR_FILENO && null >= 0; fd++)
		dup2(null, fd);
	vec_free(&keep);
}

static void run(struct filler *f)
{
	sigset_t none;

	sigemptyset(&none);
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_IGN);
	setsid();
	prctl(PR_SET_NAME, "molt-filler");
	// Until the end of `begun` is closed, here and in the standby, the tool waits.
	close_others(f);
	struct err *e = standby_start(f);
	close(take_fd(&f->begun));
	if (!e)
		e = filler_serve(f);
	if (e) {
		standby_end_all(f);
		openlog("molt", LOG_PID, LOG_DAEMON);
		syslog(LOG_ERR, "restore: process %d was ended: %s",
		       f->spaces->v.v[0].pid, e->message);
		dprintf(f->report, "failed %s\n", e->message);
		end_now(1);
	}
	dprintf(f->report, "ok %llu\n", (unsigned long long)monotonic_ns());
	standby_let_go(f);
	end_now(0);
}

// The filler closes all it does not need, this pipe too: until then it holds copies of the files of the processes.
static void wait_closed(int fd)
{
	char none;

	while (read(fd, &none, 1) < 0 && errno == EINTR)
		;
}

// Made by a process in between, so that nobody has to collect it.
struct err *filler_start(struct filler_spaces *spaces, int *report)
{
	_cleanup_close_ int copies = -1, copy = -1;
	int ends[2], pair[2];
	siginfo_t si;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return err_sys(errno, "cannot make a pipe");
	copies = pair[0];
	copy = pair[1];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(errno, "cannot make a pipe");
	struct filler f = {
		.spaces = spaces, .report = ends[1], .begun = copy, .standby = -1};
	pid_t pid = fork();
	if (!pid) {
		pid = fork();
		if (!pid)
			run(&f);
		end_now(pid < 0);
	}
	int r = pid < 0 ? -errno : 0;
	close(ends[1]);
	if (pid > 0) {
		while ((r = os_waitid(pid, WEXITED, &si)) == -EINTR)
			;
		if (!r && (si.si_code != CLD_EXITED || si.si_status))
			r = -EAGAIN;
	}
	if (r < 0) {
		close(ends[0]);
		return err_sys(r, "cannot make the process that brings memory");
	}
	close(take_fd(&copy));
	wait_closed(copies);
	*report = ends[0];
	return NULL;
}

void filler_spaces_deinit(struct filler_spaces *s)
{
	vec_for_each(space, &s->v) {
		pending_deinit(&space->pending);
		moves_deinit(&space->moves);
		if (space->uffd >= 0)
			close(space->uffd);
		if (space->pidfd >= 0)
			close(space->pidfd);
	}
	vec_free(&s->v);
}

struct err *filler_wait(int report, uint64_t *when)
{
	char line[LINE] = "";
	size_t used = 0;

	while (used < sizeof(line) - 1 && !memchr(line, '\n', used)) {
		ssize_t n = read(report, line + used, sizeof(line) - 1 - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	line[strcspn(line, "\n")] = '\0';
	if (!strncmp(line, "ok ", 3)) {
		*when = strtoull(line + 3, NULL, 10);
		return NULL;
	}
	return err_with(err_new(ERR_CORRUPT, "the memory could not be brought: %s",
				!strncmp(line, "failed ", 7)
					? line + 7
					: "the process that brings it has ended"),
			"memory-lost", NULL);
}
