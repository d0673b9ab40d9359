// SPDX-License-Identifier: LGPL-2.1-or-later
// Runs a fuzz target once on each file named, without libFuzzer: `ok FILE` or `not ok FILE`. Each gets a
// process of its own, 10 s and 2 GB.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

enum { SECONDS = 10 };
static const long max_kb = 2L << 20;

static int run_file(const char *path)
{
	struct rlimit cpu = {SECONDS, SECONDS};
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st)) {
		perror(path);
		return 1;
	}
	// As big as the input and no bigger, so that a byte read behind it is seen.
	uint8_t *bytes = malloc((size_t)st.st_size);
	if (st.st_size && (!bytes || read(fd, bytes, (size_t)st.st_size) != st.st_size)) {
		perror(path);
		return 1;
	}
	setrlimit(RLIMIT_CPU, &cpu);
	LLVMFuzzerTestOneInput(bytes, (size_t)st.st_size);
	free(bytes);
	close(fd);
	return 0;
}

static int replay(const char *path)
{
	struct rusage use;
	int status;

	fflush(stdout);
	pid_t pid = fork();
	if (!pid)
		exit(run_file(path));
	if (pid < 0 || wait4(pid, &status, 0, &use) != pid) {
		printf("not ok %s: cannot run it\n", path);
		return 1;
	}
	if (WIFSIGNALED(status))
		printf("not ok %s: ended by signal %d after %ld s\n", path,
		       WTERMSIG(status), (long)use.ru_utime.tv_sec);
	else if (WEXITSTATUS(status))
		printf("not ok %s: exit status %d\n", path, WEXITSTATUS(status));
	else if (use.ru_maxrss > max_kb)
		printf("not ok %s: %ld MB of memory\n", path, use.ru_maxrss >> 10);
	else {
		printf("ok %s\n", path);
		return 0;
	}
	return 1;
}

int main(int argc, char **argv)
{
	int failed = 0;

	for (int i = 1; i < argc; i++)
		failed |= replay(argv[i]);
	return failed;
}
