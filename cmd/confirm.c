// SPDX-License-Identifier: GPL-2.0-or-later
// Waiting for a health command, and going back without its success; see confirm.h.
#include "cmd/confirm.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cmd/signals.h"
#include "cmd/text.h"
#include "os/command.h"
#include "util/cleanup.h"

enum {
	PAUSE_MS = 1000,
	COMMAND_MS = 10000, // one run of the health command
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool is_gone(pid_t pid)
{
	return kill(pid, 0) && errno == ESRCH;
}

// The tool's environment with the process and its generation. Freed by the caller with its two last strings.
static char **health_env(const struct molt_report *r)
{
	size_t n = 0;

	while (environ[n])
		n++;
	char **env = calloc(n + 3, sizeof(*env));
	if (!env)
		return NULL;
	memcpy(env, environ, n * sizeof(*env));
	if (asprintf(&env[n], "MOLT_PID=%d", (int)r->pid) < 0)
		env[n] = NULL;
	else if (asprintf(&env[n + 1], "MOLT_GENERATION=%u", r->generation) < 0)
		env[n + 1] = NULL;
	return env;
}

static void free_env(char **env)
{
	size_t own = 0;

	while (env && environ[own])
		own++;
	for (size_t i = own; env && env[i]; i++)
		free(env[i]);
	free(env);
}

static void describe(int status, char *buf, size_t size)
{
	if (status == -ETIMEDOUT)
		snprintf(buf, size, "it did not end");
	else if (status < 0)
		snprintf(buf, size, "it could not be run: %s", strerror(-status));
	else
		snprintf(buf, size, "exit status %d", status);
}

// True when the command has succeeded in time; otherwise `why` says what happened.
static bool is_healthy(const struct confirmation *c, const struct molt_report *r,
		       char *why, size_t size)
{
	double end = now() + c->seconds;
	char **env = health_env(r);
	int status = -ENOMEM;

	while (env && !signals_came() && !is_gone(r->pid)) {
		double left = (end - now()) * 1000;

		if (left <= 0)
			break;
		status = os_run(&(struct os_command){
			.argv = (const char *const[]){"/bin/sh", "-c", c->health, NULL},
			.env = env,
			.timeout_ms = left < COMMAND_MS ? (int)left + 1 : COMMAND_MS,
			.stop = signals_came});
		if (!status)
			break;
		left = (end - now()) * 1000;
		if (left > 0 && !signals_came())
			poll(NULL, 0, left < PAUSE_MS ? (int)left : PAUSE_MS);
	}
	free_env(env);
	char last[128];
	describe(status, last, sizeof(last));
	if (signals_came())
		snprintf(why, size, "a signal came before the health command succeeded");
	else if (is_gone(r->pid))
		snprintf(why, size, "the process is gone");
	else
		snprintf(why, size,
			 "the health command did not succeed within %g s (at last: %s)",
			 c->seconds, last);
	return status == 0 && !signals_came();
}

static bool has_code(const struct molt_report *r, const char *code)
{
	return r->code && !strcmp(r->code, code);
}

// Goes on until it is done or cannot be done at all.
static struct molt_report *revert(const struct molt_update_options *opt, pid_t pid,
				  unsigned generation)
{
	struct molt_update_options o = *opt;

	o.at = NULL;
	o.interrupted = NULL; // a second signal ends molt at once
	o.allow_lost = true;  // what the rejected build added goes with it
	o.modules = NULL;
	o.n_modules = 0;
	o.expected_generation = &generation;
	for (;;) {
		struct molt_report *r = molt_revert(pid, MOLT_PREVIOUS, &o);

		if (!r || r->verdict != MOLT_BUSY || has_code(r, "generation-changed"))
			return r;
		fprintf(stderr, "molt: going back takes longer: %s\n",
			r->reason ? shown(r->reason) : "busy");
		molt_report_free(r);
		poll(NULL, 0, PAUSE_MS);
	}
}

static void set_reason(struct molt_report *r, enum molt_verdict verdict, const char *code,
		       const char *why, const char *and_now)
{
	char *text = NULL;

	free(r->reason);
	free(r->object);
	r->object = NULL;
	r->verdict = verdict;
	r->code = code;
	r->reason = asprintf(&text, "%s: %s", why, and_now) < 0 ? NULL : text;
}

// The notes of the update stay; the figures of the way back take the place of those of the update.
static void tell(struct molt_report *r, const struct molt_report *back, const char *why)
{
	char text[1024];

	if (!back || back->verdict != MOLT_DONE) {
		snprintf(text, sizeof(text), "%s: %s",
			 back && has_code(back, "generation-changed")
				 ? "the process is left alone"
				 : "the process stays in the new program",
			 back && back->reason ? back->reason : "no memory");
		set_reason(r,
			   back && back->verdict == MOLT_LOST ? MOLT_LOST : MOLT_INTERNAL,
			   "not-reverted", why, text);
		return;
	}
	snprintf(text, sizeof(text),
		 "process %d runs the program of before again, stopped %.1f ms",
		 (int)r->pid, back->stop_us / 1000);
	r->generation = back->generation;
	r->threads = back->threads;
	r->stop_us = back->stop_us;
	r->stop2_us += back->stop2_us;
	r->total_ms += back->total_ms;
	set_reason(r, MOLT_ROLLED_BACK, "not-confirmed", why, text);
}

void confirm_or_revert(const struct confirmation *c,
		       const struct molt_update_options *opt, struct molt_report *r)
{
	char why[256];

	if (is_healthy(c, r, why, sizeof(why)))
		return;
	if (is_gone(r->pid)) {
		set_reason(r, MOLT_LOST, "pid-gone", why, "it ended in the new program");
		return;
	}
	struct molt_report *back = revert(opt, r->pid, r->generation);
	tell(r, back, why);
	molt_report_free(back);
}
