// SPDX-License-Identifier: LGPL-2.1-or-later
// Threads that write, give back, move, unmap and protect all the time, with a model of what every page holds.
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>

#include "tests/victims/self.h"

enum { PAGE = 4096, THREADS = 2, REGIONS = 48, PAGES = 96, WORDS = PAGE / 8, STEP = 61 };

struct region {
	uint64_t *p;
	size_t pages;
	bool file; // private, of the file `fd`
	bool none; // PROT_NONE at the moment
	uint64_t version[PAGES]; // 0: zero, or the file's
};

static struct churner {
	pthread_mutex_t lock;
	struct region r[REGIONS];
	uint64_t x, versions;
	unsigned long ops;
} churners[THREADS];

static int fd;

static uint64_t next(struct churner *c)
{
	c->x ^= c->x << 13;
	c->x ^= c->x >> 7;
	return c->x ^= c->x << 17;
}

static uint64_t of_file(size_t page, size_t word)
{
	return page * 1000003 + word + 1;
}

static void map_region(struct region *r, size_t pages, bool file)
{
	int flags = file ? MAP_PRIVATE : MAP_PRIVATE | MAP_ANONYMOUS;
	void *p = must(mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, flags, file ? fd : -1, 0));

	memset(r->version, 0, sizeof(r->version));
	r->pages = pages;
	r->file = file;
	r->none = false;
	r->p = p;
}

static void write_page(struct churner *c, struct region *r, size_t page)
{
	r->version[page] = ++c->versions;
	for (size_t w = 0; w < WORDS; w += STEP)
		r->p[page * WORDS + w] = r->version[page] * 31 + w;
}

static void give_back(struct churner *c, struct region *r)
{
	size_t from = next(c) % r->pages, n = 1 + next(c) % (r->pages - from);

	madvise(r->p + from * WORDS, n * PAGE, MADV_DONTNEED);
	memset(r->version + from, 0, n * sizeof(*r->version));
}

// Moved to another place, often larger or smaller.
static void move(struct churner *c, struct region *r)
{
	size_t pages = r->file ? r->pages : 1 + next(c) % PAGES;
	void *to = must(mmap(NULL, pages * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

	r->p = must(mremap(r->p, r->pages * PAGE, pages * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	for (size_t i = r->pages; i < pages; i++)
		r->version[i] = 0;
	r->pages = pages;
}

static void renew(struct churner *c, struct region *r)
{
	must(munmap(r->p, r->pages * PAGE));
	map_region(r, r->file ? PAGES : 1 + next(c) % PAGES, r->file);
}

static void one(struct churner *c)
{
	struct region *r = &c->r[next(c) % REGIONS];
	unsigned what = (unsigned)(next(c) % 1000);

	if (r->none || what < 10) {
		r->none = !r->none;
		must(mprotect(r->p, r->pages * PAGE, r->none ? PROT_NONE : PROT_READ | PROT_WRITE));
	} else if (what < 960) {
		write_page(c, r, next(c) % r->pages);
	} else if (what < 975) {
		give_back(c, r);
	} else if (what < 985) {
		move(c, r);
	} else {
		renew(c, r);
	}
	c->ops++;
}

static void *churn(void *arg)
{
	const struct timespec nap = {.tv_nsec = 200000};
	struct churner *c = arg;

	for (;;) {
		pthread_mutex_lock(&c->lock);
		for (int i = 0; i < 100; i++)
			one(c);
		pthread_mutex_unlock(&c->lock);
		nanosleep(&nap, NULL);
	}
	return NULL;
}

static void check_page(const struct region *r, size_t i, size_t page)
{
	for (size_t w = 0; w < WORDS; w += STEP) {
		uint64_t is = r->p[page * WORDS + w], version = r->version[page];
		uint64_t should = version ? version * 31 + w : r->file ? of_file(page, w) : 0;

		expect(is == should, "region %zu (%s), page %zu of %zu at %p: %lx, not %lx (version %lu)", i,
		       r->file ? "file" : "anonymous", page, r->pages, (void *)(r->p + page * WORDS), is, should,
		       version);
	}
}

static void check(void)
{
	static unsigned long before[THREADS];

	for (int t = 0; t < THREADS; t++) {
		struct churner *c = &churners[t];

		pthread_mutex_lock(&c->lock);
		for (int i = 0; i < 5000 && c->ops == before[t]; i++) {
			pthread_mutex_unlock(&c->lock);
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
			pthread_mutex_lock(&c->lock);
		}
		expect(c->ops > before[t], "thread %d does not go on", t);
		before[t] = c->ops;
		for (size_t i = 0; i < REGIONS; i++) {
			struct region *r = &c->r[i];

			if (r->none)
				must(mprotect(r->p, r->pages * PAGE, PROT_READ | PROT_WRITE));
			r->none = false;
			for (size_t page = 0; page < r->pages; page++)
				check_page(r, i, page);
		}
		pthread_mutex_unlock(&c->lock);
	}
}

int main(void)
{
	pthread_t thread;

	self_block();
	fd = must(open("churned", O_RDWR | O_CREAT | O_TRUNC, 0600));
	for (size_t page = 0; page < PAGES; page++)
		for (size_t w = 0; w < WORDS; w++) {
			uint64_t v = of_file(page, w);

			must(pwrite(fd, &v, sizeof(v), (off_t)((page * WORDS + w) * sizeof(v))));
		}
	for (int t = 0; t < THREADS; t++) {
		struct churner *c = &churners[t];

		pthread_mutex_init(&c->lock, NULL);
		c->x = 88172645463325252ULL + (uint64_t)t;
		for (size_t i = 0; i < REGIONS; i++)
			map_region(&c->r[i], i % 8 ? 1 + next(c) % PAGES : PAGES, i % 8 == 0);
		must(pthread_create(&thread, NULL, churn, c));
	}
	self_run(check);
}
