// SPDX-License-Identifier: LGPL-2.1-or-later
// Thin wrappers of ptrace and waitid; see ptrace.h.
#include "os/ptrace.h"

#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/uapi.h"

// By the raw system call: glibc's wrapper hides the result of requests it does not know.
static int request(long req, pid_t tid, const void *addr, const void *data)
{
	return syscall(SYS_ptrace, req, tid, addr, data) < 0 ? -errno : 0;
}

static const void *number(unsigned long n)
{
	return (const void *)n;
}

int os_ptrace_seize(pid_t tid, unsigned long options)
{
	return request(PTRACE_SEIZE, tid, NULL, number(options));
}

int os_ptrace_interrupt(pid_t tid)
{
	return request(PTRACE_INTERRUPT, tid, NULL, NULL);
}

int os_ptrace_cont(pid_t tid, int sig)
{
	return request(PTRACE_CONT, tid, NULL, number((unsigned long)sig));
}

int os_ptrace_syscall(pid_t tid)
{
	return request(PTRACE_SYSCALL, tid, NULL, NULL);
}

int os_ptrace_detach(pid_t tid)
{
	return request(PTRACE_DETACH, tid, NULL, NULL);
}

int os_ptrace_setoptions(pid_t tid, unsigned long options)
{
	return request(PTRACE_SETOPTIONS, tid, NULL, number(options));
}

int os_ptrace_eventmsg(pid_t tid, unsigned long *ret)
{
	return request(PTRACE_GETEVENTMSG, tid, NULL, ret);
}

int os_ptrace_getregs(pid_t tid, struct user_regs_struct *ret)
{
	return request(PTRACE_GETREGS, tid, NULL, ret);
}

int os_ptrace_setregs(pid_t tid, const struct user_regs_struct *regs)
{
	return request(PTRACE_SETREGS, tid, NULL, regs);
}

int os_ptrace_getsigmask(pid_t tid, uint64_t *ret)
{
	return request(PTRACE_GETSIGMASK, tid, number(sizeof(*ret)), ret);
}

int os_ptrace_setsigmask(pid_t tid, uint64_t mask)
{
	return request(PTRACE_SETSIGMASK, tid, number(sizeof(mask)), &mask);
}

int os_ptrace_rseq(pid_t tid, struct uapi_rseq_configuration *ret)
{
	return request(UAPI_PTRACE_GET_RSEQ_CONFIGURATION, tid, number(sizeof(*ret)), ret);
}

int os_waitid(pid_t tid, int flags, siginfo_t *ret)
{
	memset(ret, 0, sizeof(*ret));
	return waitid(P_PID, (id_t)tid, ret, flags | __WALL) < 0 ? -errno : 0;
}

int os_ptrace_seccomp(pid_t tid, unsigned index, struct sock_filter *buf)
{
	long r = syscall(SYS_ptrace, PTRACE_SECCOMP_GET_FILTER, tid, number(index), buf);

	return r < 0 ? -errno : (int)r;
}

int os_ptrace_seccomp_flags(pid_t tid, unsigned index, uint64_t *ret)
{
	struct uapi_seccomp_metadata m = {.filter_off = index};
	long r = syscall(SYS_ptrace, UAPI_PTRACE_SECCOMP_GET_METADATA, tid,
			 number(sizeof(m)), &m);

	*ret = m.flags;
	return r < 0 ? -errno : 0;
}

int os_ptrace_pending(pid_t tid, bool shared, uint64_t first, siginfo_t *buf, int n)
{
	struct __ptrace_peeksiginfo_args args = {
		.off = first, .flags = shared ? PTRACE_PEEKSIGINFO_SHARED : 0, .nr = n};
	long r = syscall(SYS_ptrace, PTRACE_PEEKSIGINFO, tid, &args, buf);

	return r < 0 ? -errno : (int)r;
}

ssize_t os_ptrace_getregset(pid_t tid, int note, void *buf, size_t size)
{
	struct iovec iov = {.iov_base = buf, .iov_len = size};
	int r = request(PTRACE_GETREGSET, tid, number((unsigned long)note), &iov);

	return r < 0 ? r : (ssize_t)iov.iov_len;
}

int os_ptrace_setregset(pid_t tid, int note, const void *buf, size_t size)
{
	struct iovec iov = {.iov_len = size};

	memcpy(&iov.iov_base, &buf, sizeof(buf)); // it is only read
	return request(PTRACE_SETREGSET, tid, number((unsigned long)note), &iov);
}

int os_ptrace_dispatches(pid_t tid)
{
	struct uapi_sud_config c = {0};
	int r = request(UAPI_PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, tid,
			number(sizeof(c)), &c);

	return r < 0 ? r : c.mode != 0;
}
