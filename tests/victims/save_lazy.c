// SPDX-License-Identifier: LGPL-2.1-or-later
// Right after a restore, while memory is still brought: MADV_DONTNEED, munmap, mremap, fork, exec in a child, threads that read
// everywhere at once. What was dropped is zero, all else is as it was.
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "tests/victims/self.h"

enum { PAGE = 4096, PART = 24 << 20, PARTS = 6, READERS = 3 };

static uint8_t *part[PARTS];

static uint64_t value(size_t p, size_t i)
{
	return (i * 2654435761u) ^ (p << 56);
}

static void fill(size_t p)
{
	uint64_t *v = (uint64_t *)(void *)part[p];

	for (size_t i = 0; i < PART / sizeof(*v); i += 8)
		v[i] = value(p, i);
}

static size_t wrong_in(size_t p, size_t from, size_t to)
{
	const uint64_t *v = (const uint64_t *)(const void *)part[p];
	size_t wrong = 0;

	for (size_t i = from / sizeof(*v); i < to / sizeof(*v); i += 8)
		wrong += v[i] != value(p, i);
	return wrong;
}

static size_t not_zero(const uint8_t *at, size_t len)
{
	size_t wrong = 0;

	for (size_t i = 0; i < len; i += 64)
		wrong += at[i] != 0;
	return wrong;
}

static void *reader(void *arg)
{
	size_t which = (size_t)arg, wrong = 0;

	// Far apart, against the order in which it is brought.
	for (size_t i = PART / PAGE; i-- > 0;)
		wrong += wrong_in(4, (i * 7919 + which * 131) % (PART / PAGE) * PAGE,
				  (i * 7919 + which * 131) % (PART / PAGE) * PAGE + 64);
	return (void *)wrong;
}

static void check_child(void)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid)
		_exit(wrong_in(3, 0, PART) ? 1 : wrong_in(0, PART / 2, PART) ? 2 : 0);
	pid_t other = fork();
	if (!other) {
		execl("/bin/true", "true", NULL);
		_exit(9);
	}
	waitpid(pid, &status, 0);
	expect(WIFEXITED(status) && !WEXITSTATUS(status), "the child found %#x", status);
	waitpid(other, &status, 0);
	expect(WIFEXITED(status) && !WEXITSTATUS(status), "exec in a child: %#x", status);
}

// Each check leaves all as it was at first, so that the next checkpoint has it again.
static void check(void)
{
	pthread_t t[READERS];
	void *wrong;

	// The first half is dropped, at a time when hardly any of it is there.
	madvise(part[0], PART / 2, MADV_DONTNEED);
	for (size_t i = 0; i < READERS; i++)
		pthread_create(&t[i], NULL, reader, (void *)i);
	uint8_t *moved = mremap(part[1], PART, PART, MREMAP_MAYMOVE | MREMAP_FIXED,
				part[1] - (1UL << 30));
	expect(moved != MAP_FAILED, "mremap");
	if (moved != MAP_FAILED)
		part[1] = moved;
	munmap(part[2] + PART / 4, PART / 4);
	check_child();
	expect(!not_zero(part[0], PART / 2), "what was dropped is not zero");
	expect(!wrong_in(0, PART / 2, PART), "beside what was dropped");
	expect(!wrong_in(1, 0, PART), "what was moved");
	expect(!wrong_in(2, 0, PART / 4), "before what was unmapped");
	expect(!wrong_in(2, PART / 2, PART), "behind what was unmapped");
	expect(!wrong_in(3, 0, PART), "what nobody touched");
	for (size_t i = 0; i < READERS; i++) {
		pthread_join(t[i], &wrong);
		expect(!wrong, "reader %zu found %zu wrong", i, (size_t)wrong);
	}
	must(mmap(part[2] + PART / 4, PART / 4, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	expect(!not_zero(part[2] + PART / 4, PART / 4), "what was mapped anew");
	fill(0);
	fill(2);
}

int main(void)
{
	self_block();
	for (size_t i = 0; i < PARTS; i++) {
		// Something behind each: mappings of their own. Below them all is free.
		part[i] = must((uint8_t *)mmap(NULL, PART + PAGE, PROT_READ | PROT_WRITE,
					       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
		must(mprotect(part[i] + PART, PAGE, PROT_NONE));
		fill(i);
	}
	self_run(check);
}
