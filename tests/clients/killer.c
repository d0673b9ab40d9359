// SPDX-License-Identifier: LGPL-2.1-or-later
// Preloaded into molt by tests: counts the calls by which it touches another process, and kills it by SIGKILL
// before the one that KILLER_AT numbers. At the end the count is written to the descriptor KILLER_COUNT.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static long calls, at;

__attribute__((constructor)) static void begin(void)
{
	const char *text = getenv("KILLER_AT");

	at = text ? atol(text) : 0;
}

__attribute__((destructor)) static void end(void)
{
	const char *text = getenv("KILLER_COUNT");

	if (text)
		dprintf(atoi(text), "%ld", calls);
}

static void count(void)
{
	if (++calls == at)
		kill(getpid(), SIGKILL);
}

static void *next(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

long syscall(long nr, ...)
{
	static long (*real)(long, ...);
	va_list ap;
	long a[6];

	va_start(ap, nr);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (!real)
		real = (long (*)(long, ...))next("syscall");
	if (nr == SYS_ptrace || nr == SYS_sched_setattr)
		count();
	return real(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off_t off)
{
	static ssize_t (*real)(int, const void *, size_t, off_t);

	if (!real)
		real = (ssize_t(*)(int, const void *, size_t, off_t))next("pwrite64");
	count();
	return real(fd, buf, len, off);
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t off)
{
	return pwrite64(fd, buf, len, off);
}

ssize_t process_vm_writev(pid_t pid, const struct iovec *l, unsigned long nl,
			  const struct iovec *r, unsigned long nr, unsigned long flags)
{
	static ssize_t (*real)(pid_t, const struct iovec *, unsigned long,
			       const struct iovec *, unsigned long, unsigned long);

	if (!real)
		real = (ssize_t(*)(pid_t, const struct iovec *, unsigned long,
				   const struct iovec *, unsigned long,
				   unsigned long))next("process_vm_writev");
	count();
	return real(pid, l, nl, r, nr, flags);
}
