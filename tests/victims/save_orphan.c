// SPDX-License-Identifier: LGPL-2.1-or-later
// A process and one that is nobody's child any more, both of which look at all of their memory after SIGUSR1.
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>

#include "tests/victims/self.h"

enum { PAGES = 40000, WORDS = 512, STEP = 7919 };

static volatile uint64_t *p;

static void look(const char *who)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < PAGES; i++) {
		size_t page = i * STEP % PAGES;

		wrong += p[page * WORDS] != page + 1 || p[page * WORDS + WORDS - 1] != ~page;
	}
	printf("%s %u\n", who, wrong);
	fflush(stdout);
}

int main(void)
{
	sigset_t set;
	int sig;

	self_block();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	signal(SIGCHLD, SIG_IGN);
	p = must(mmap(NULL, PAGES * sizeof(*p) * WORDS, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	for (size_t page = 0; page < PAGES; page++) {
		p[page * WORDS] = page + 1;
		p[page * WORDS + WORDS - 1] = ~page;
	}
	puts("ready");
	fflush(stdout);
	sigwait(&set, &sig);
	if (!fork()) {
		if (!fork()) {
			look("orphan");
			pause();
		}
		_exit(0);
	}
	look("main");
	for (;;)
		pause();
}
