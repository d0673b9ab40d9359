// SPDX-License-Identifier: GPL-2.0-or-later
// The progress line.
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/text.h"

static const uint64_t quiet_ns = 1000000000; // a job shorter than this shows no line

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void progress_begin(struct progress *p, bool verbose)
{
	*p = (struct progress){
		.tty = isatty(STDERR_FILENO),
		.verbose = verbose,
		.start_ns = now_ns(),
	};
}

void progress_say(struct progress *p, const char *fmt, ...)
{
	va_list ap;

	if (!p->verbose && (!p->tty || now_ns() - p->start_ns < quiet_ns))
		return;
	if (!p->verbose)
		fputs("\r\033[K", stderr);
	fputs("molt: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	if (p->verbose)
		fputc('\n', stderr);
	p->shown = !p->verbose;
	fflush(stderr);
}

void progress_end(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}

void progress_text(void *progress, const char *text)
{
	progress_say(progress, "%s", shown(text));
}
