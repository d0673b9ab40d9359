// SPDX-License-Identifier: LGPL-2.1-or-later
// For tests that kill the tool before its n-th call that touches the target: to be linked with
// -Wl,--wrap=syscall,--wrap=pwrite64,--wrap=process_vm_writev.
#pragma once

#include <check.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "os/proc.h"

// Calls that are left until the end; 0 in the test itself.
static long calls_left;

static void count_call(void)
{
	if (calls_left && !--calls_left)
		kill(getpid(), SIGKILL);
}

// The linker sends every ptrace and every write to the target through these (--wrap).
long __real_syscall(long nr, ...);
long __wrap_syscall(long nr, ...);
ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t at);
ssize_t __real_process_vm_writev(pid_t pid, const struct iovec *l, unsigned long nl,
				 const struct iovec *r, unsigned long nr,
				 unsigned long flags);
ssize_t __wrap_process_vm_writev(pid_t pid, const struct iovec *l, unsigned long nl,
				 const struct iovec *r, unsigned long nr,
				 unsigned long flags);

long __wrap_syscall(long nr, ...)
{
	long a[6];
	va_list ap;

	va_start(ap, nr);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (nr == SYS_ptrace || nr == SYS_sched_setattr || nr == SYS_futex)
		count_call();
	return __real_syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t at)
{
	count_call();
	return __real_pwrite64(fd, buf, len, at);
}

ssize_t __wrap_process_vm_writev(pid_t pid, const struct iovec *l, unsigned long nl,
				 const struct iovec *r, unsigned long nr,
				 unsigned long flags)
{
	count_call();
	return __real_process_vm_writev(pid, l, nl, r, nr, flags);
}

// Nobody traces it, no thread of the tool is left and none is raised.
static void check_free(pid_t pid, long n)
{
	for (int i = 0; i < 2000; i++) {
		struct os_status s;
		size_t len, tools = 0, count;
		pid_t *tids;
		char *comm;

		ck_assert_msg(!os_proc_status(pid, 0, &s) && s.state != 'Z',
			      "killed at call %ld", n);
		ck_assert_int_eq(os_proc_tasks(pid, &tids, &count), 0);
		for (size_t k = 0; k < count; k++) {
			if (os_proc_read(pid, tids[k], "comm", &comm, &len) < 0)
				continue;
			tools += !strncmp(comm, "molt-helper", 11) ||
				 sched_getscheduler(tids[k]) & SCHED_FIFO;
			free(comm);
		}
		free(tids);
		if (!s.tracer && !tools)
			return;
		nanosleep(&(struct timespec){0, 1000000}, NULL);
	}
	ck_abort_msg("killed at call %ld: something is left", n);
}
