// SPDX-License-Identifier: LGPL-2.1-or-later
// Starting and ending the self-checking programs; see victim.h.
#include "victim.h"

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int victim_line(struct victim *v, char *buf, size_t size)
{
	size_t n = 0;

	while (n + 1 < size && read(v->out, &buf[n], 1) == 1) {
		if (buf[n] == '\n') {
			buf[n] = 0;
			return 1;
		}
		n++;
	}
	return 0;
}

struct victim victim_start_arg(const char *name, const char *arg)
{
	struct victim v = {0, -1, -1};
	char path[512], line[64];
	int in[2], out[2];

	snprintf(path, sizeof(path), "%s/victim_%s", VICTIM_DIR, name);
	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	v.pid = fork();
	ck_assert_int_ge(v.pid, 0);
	if (!v.pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execl(path, path, arg, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	v.in = in[1];
	v.out = out[0];
	ck_assert_msg(victim_line(&v, line, sizeof(line)) && !strcmp(line, "ready"),
		      "%s did not start", path);
	return v;
}

struct victim victim_start(const char *name)
{
	return victim_start_arg(name, NULL);
}

int victim_end(struct victim *v)
{
	int fd = (int)syscall(SYS_pidfd_open, v->pid, 0), status;
	struct pollfd p = {fd, POLLIN, 0};

	close(v->in);
	int done = poll(&p, 1, 10000);
	close(fd);
	if (done != 1)
		kill(v->pid, SIGKILL);
	ck_assert_int_eq(waitpid(v->pid, &status, __WALL), v->pid);
	close(v->out);
	v->pid = 0;
	if (done != 1)
		return -1000;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void victim_kill(struct victim *v)
{
	kill(v->pid, SIGKILL);
	victim_end(v);
}
