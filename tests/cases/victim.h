// SPDX-License-Identifier: LGPL-2.1-or-later
// The frame of every update case: answers commands line by line, counts the ticks of a timer, ends cleanly.
//
// The case gives handle(). The runner asks "ping", "ticks" and "eintr" by itself: a program whose commands
// answer but whose timer is dead, or whose system calls were broken off, fails.
#pragma once

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
#define is(cmd, word) (strcmp(cmd, word) == 0)
#define reply(...) snprintf(out, (size_t)size, __VA_ARGS__) // inside handle()

#ifdef __cplusplus
extern "C" {
#endif
// Writes the answer to cmd, one line without its end, into out.
NOINLINE void handle(const char *cmd, char *out, int size);
#ifdef __cplusplus
}
#endif

static struct {
	char line[4096];
	size_t n;
	long ticks, eintr;
	int timer;
} victim;

static NOINLINE void victim_say(const char *s)
{
	char buf[4200];
	int n = snprintf(buf, sizeof(buf), "%s\n", s);

	if (write(1, buf, (size_t)n) != n)
		_exit(9);
}

static NOINLINE int victim_answer(const char *cmd)
{
	char out[4096] = "";

	if (is(cmd, "quit"))
		return 0;
	if (is(cmd, "ping"))
		snprintf(out, sizeof(out), "pong");
	else if (is(cmd, "ticks"))
		snprintf(out, sizeof(out), "%ld", victim.ticks);
	else if (is(cmd, "eintr"))
		snprintf(out, sizeof(out), "%ld", victim.eintr);
	else
		handle(cmd, out, (int)sizeof(out));
	victim_say(out);
	return 1;
}

// Reads what stdin has and answers its complete lines; 0 at "quit" and at its end.
static NOINLINE int victim_input(void)
{
	ssize_t n = read(0, victim.line + victim.n, sizeof(victim.line) - 1 - victim.n);
	char *end;

	if (n <= 0)
		return n < 0 && errno == EINTR;
	victim.n += (size_t)n;
	victim.line[victim.n] = 0;
	while ((end = strchr(victim.line, '\n'))) {
		size_t len = (size_t)(end + 1 - victim.line);

		*end = 0;
		if (!victim_answer(victim.line))
			return 0;
		memmove(victim.line, end + 1, victim.n - len + 1);
		victim.n -= len;
	}
	return 1;
}

static NOINLINE void victim_init(void)
{
	struct itimerspec every = { { 0, 10000000 }, { 0, 10000000 } };

	victim.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	timerfd_settime(victim.timer, 0, &every, NULL);
}

static NOINLINE void victim_loop(void)
{
	struct pollfd p[2] = { { 0, POLLIN, 0 }, { victim.timer, POLLIN, 0 } };

	for (;;) {
		uint64_t n;

		if (poll(p, 2, -1) < 0) {
			victim.eintr += errno == EINTR;
			continue;
		}
		if (p[1].revents && read(victim.timer, &n, sizeof(n)) == (ssize_t)sizeof(n))
			victim.ticks += (long)n;
		if (p[0].revents && !victim_input())
			return;
	}
}

#ifndef VICTIM_OWN_MAIN
int main(void)
{
	victim_init();
	victim_say("ready");
	victim_loop();
	printf("bye\n");
	return 0;
}
#endif
