// SPDX-License-Identifier: LGPL-2.1-or-later
// What victims of tests/checkpoints have in common: they print `ready`, wait for SIGUSR1, and each time say whether
// all of their state is as it should be.
#pragma once

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char self_wrong[512]; // the first thing that is wrong

static inline void __attribute__((format(printf, 2, 3), unused))
expect(bool holds, const char *fmt, ...)
{
	va_list ap;

	if (holds || *self_wrong)
		return;
	va_start(ap, fmt);
	vsnprintf(self_wrong, sizeof(self_wrong), fmt, ap);
	va_end(ap);
}

static inline void __attribute__((format(printf, 1, 2), unused, noreturn))
skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("skip ", stdout);
	vprintf(fmt, ap);
	va_end(ap);
	puts("");
	fflush(stdout);
	pause();
	exit(77);
}

// For set-up: what cannot fail here.
#define must(expr)                                                     \
	({                                                             \
		long must_ = (long)(expr);                             \
		if (must_ == -1) {                                     \
			printf("wrong: %s: %m\n", #expr);              \
			exit(1);                                       \
		}                                                      \
		(__typeof__(expr))must_;                               \
	})

static inline void __attribute__((unused)) self_block(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

// Never returns. Call self_block before threads are made.
static inline void __attribute__((noreturn, unused)) self_run(void (*check)(void))
{
	sigset_t set;

	self_block();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	puts("ready");
	fflush(stdout);
	for (;;) {
		if (sigwaitinfo(&set, NULL) != SIGUSR1)
			continue;
		*self_wrong = '\0';
		check();
		if (*self_wrong)
			printf("wrong: %s\n", self_wrong);
		else
			puts("right");
		fflush(stdout);
	}
}
