// SPDX-License-Identifier: LGPL-2.1-or-later
// Running another program; see command.h.
#include "os/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/vec.h"

enum {
	LOOK_MS = 100 // how soon stop() is noticed when the signal came just before the poll
};

// What it prints, while it runs.
struct answer {
	int fd; // -1: none is wanted, or it has ended
	char *out;
	size_t n, size;
};

static int set_up(posix_spawn_file_actions_t *files, posix_spawnattr_t *attr, int out)
{
	static const int defaults[] = {SIGPIPE, SIGXFSZ, SIGINT, SIGTERM, SIGHUP};
	sigset_t none, normal;

	sigemptyset(&none);
	sigemptyset(&normal);
	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
		sigaddset(&normal, defaults[i]);
	posix_spawnattr_setsigmask(attr, &none);
	posix_spawnattr_setsigdefault(attr, &normal);
	posix_spawnattr_setpgroup(attr, 0);
	posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
					       POSIX_SPAWN_SETPGROUP);
	int r = posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null",
						 O_RDONLY, 0);
	return r ? r : posix_spawn_file_actions_adddup2(files, out, STDOUT_FILENO);
}

static int start(const struct os_command *c, int out, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;

	if (posix_spawn_file_actions_init(&files))
		return -ENOMEM;
	if (posix_spawnattr_init(&attr)) {
		posix_spawn_file_actions_destroy(&files);
		return -ENOMEM;
	}
	int r = set_up(&files, &attr, out);
	if (!r)
		r = posix_spawnp(pid, c->argv[0], &files, &attr,
				 (char *const *)(uintptr_t)c->argv,
				 c->env ? c->env : environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return -r;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

// Takes what is there; what does not fit is read and dropped, so that nobody waits for room.
static void take(struct answer *a)
{
	char rest[512];

	while (a->fd >= 0) {
		size_t room = a->size - 1 - a->n;
		ssize_t n = read(a->fd, room ? a->out + a->n : rest,
				 room ? room : sizeof(rest));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0)
			a->fd = -1;
		else if (room)
			a->n += (size_t)n;
	}
}

// 0 when it has ended, else why it must end.
static int wait_for_end(const struct os_command *c, int pidfd, struct answer *a)
{
	int64_t until = now_ms() + c->timeout_ms;

	for (;;) {
		struct pollfd p[] = {{.fd = pidfd, .events = POLLIN},
				     {.fd = a->fd, .events = POLLIN}};
		int64_t left = until - now_ms();

		if (c->stop && c->stop())
			return -EINTR;
		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(p, 2, left < LOOK_MS ? (int)left : LOOK_MS) <= 0)
			continue;
		take(a);
		if (p[0].revents)
			return 0;
	}
}

static int run(const struct os_command *c, int out, struct answer *a)
{
	pid_t pid = -1;
	int status, r = start(c, out, &pid);

	if (r)
		return r;
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	r = pidfd < 0 ? -errno : wait_for_end(c, pidfd, a);
	if (r)
		kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	take(a); // printed between the last look and its end
	if (r)
		return r;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int os_run(const struct os_command *c)
{
	struct answer a = {.fd = -1, .out = c->out, .size = c->size};
	int fds[2];

	if (!c->out)
		return run(c, STDERR_FILENO, &a);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	_cleanup_close_ int from = fds[0], to = fds[1];
	int r = fcntl(from, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
	a.fd = from;
	if (!r)
		r = run(c, to, &a);
	c->out[a.n] = 0;
	return r;
}
