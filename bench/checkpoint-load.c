// SPDX-License-Identifier: LGPL-2.1-or-later
// What bench/checkpoint saves: checkpoint-load MB PERCENT MILLISECONDS THREADS DESCRIPTORS. Random bytes in 4 KiB pages, of which it writes
// PERCENT of the pages, spread evenly, every so many milliseconds. "memcpy MB": prints how long copying them takes, in ms.
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096 };

static uint64_t next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	return *x ^= *x << 17;
}

static uint8_t *make(size_t size)
{
	uint64_t x = 88172645463325252ULL;
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	if (p == MAP_FAILED)
		exit(1);
	madvise(p, size, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < size; i += sizeof(x)) {
		next(&x);
		memcpy(p + i, &x, sizeof(x));
	}
	return p;
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int copy(size_t size)
{
	uint8_t *from = make(size), *to = make(size);
	double start = now_ms();

	memcpy(to, from, size);
	printf("%.1f\n", now_ms() - start + (to[size / 2] != from[size / 2]));
	return 0;
}

static void *wait_for_ever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "memcpy"))
		return copy((size_t)atoi(argv[2]) << 20);
	if (argc != 6)
		return 2;
	size_t size = (size_t)atoi(argv[1]) << 20, pages = size / PAGE;
	size_t written = (size_t)((double)pages * atof(argv[2]) / 100);
	long ms = atol(argv[3]);
	struct timespec nap = {ms / 1000, ms % 1000 * 1000000};
	struct rlimit limit = {20000, 20000};
	uint8_t *p = make(size ? size : PAGE);
	pthread_attr_t attr;
	pthread_t thread;

	setrlimit(RLIMIT_NOFILE, &limit);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 1 << 16);
	for (int i = 1; i < atoi(argv[4]); i++)
		pthread_create(&thread, &attr, wait_for_ever, NULL);
	for (int i = 3; i < atoi(argv[5]); i++)
		open("/etc/passwd", O_RDONLY);
	puts("ready");
	fflush(stdout);
	for (size_t round = 1;; round++) {
		nanosleep(&nap, NULL);
		for (size_t i = 0; i < written; i++)
			p[(i * pages / written) * PAGE + round % PAGE]++;
	}
}
