// SPDX-License-Identifier: LGPL-2.1-or-later
// Running another program; see run.h.
#include "os/run.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"

static int start(const char *const argv[], int out, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	int rc = posix_spawn_file_actions_init(&actions);

	if (rc)
		return -rc;
	rc = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	if (!rc)
		rc = posix_spawnp(pid, argv[0], &actions, NULL,
				  (char *const *)(uintptr_t)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return -rc;
}

int os_run(const char *const argv[], char *out, size_t size, int *status)
{
	int fds[2];
	size_t n = 0;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	_cleanup_close_ int in = fds[0];
	int rc = start(argv, fds[1], &pid);
	close(fds[1]);
	if (rc < 0)
		return rc;
	for (ssize_t r = 1; r > 0 && n + 1 < size; n += (size_t)r) {
		r = read(in, out + n, size - 1 - n);
		if (r < 0)
			break;
	}
	out[n] = 0;
	while (waitpid(pid, status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}
