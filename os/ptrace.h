// SPDX-License-Identifier: LGPL-2.1-or-later
// Thin wrappers of ptrace and waitid; 0 or -errno. Which stop a thread is in decides the
// caller.
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#include <linux/filter.h>

#include "os/kernel.h"

int os_ptrace_seize(pid_t tid, unsigned long options);
int os_ptrace_interrupt(pid_t tid);
int os_ptrace_cont(pid_t tid, int sig);
int os_ptrace_syscall(pid_t tid); // runs to the next entry or exit of a system call
int os_ptrace_detach(pid_t tid);
int os_ptrace_setoptions(pid_t tid, unsigned long options);
int os_ptrace_eventmsg(pid_t tid, unsigned long *ret);
int os_ptrace_getregs(pid_t tid, struct user_regs_struct *ret);
int os_ptrace_setregs(pid_t tid, const struct user_regs_struct *regs);
int os_ptrace_getsigmask(pid_t tid, uint64_t *ret);
int os_ptrace_setsigmask(pid_t tid, uint64_t mask);
// A thread's seccomp filter, 0 the newest: how many instructions; they are written to buf unless that is NULL.
int os_ptrace_seccomp(pid_t tid, unsigned index, struct sock_filter *buf);
// LOG is the only flag that a filter keeps (SECCOMP_FILTER_FLAG_*).
int os_ptrace_seccomp_flags(pid_t tid, unsigned index, uint64_t *ret);
// Up to n queued signals from place `first` on, of the thread or of its process; how many, or -errno.
int os_ptrace_pending(pid_t tid, bool shared, uint64_t first, siginfo_t *buf, int n);
// A set of registers (NT_PRSTATUS, NT_X86_XSTATE ...); the bytes read, or -errno. Setting takes all of it or nothing.
ssize_t os_ptrace_getregset(pid_t tid, int note, void *buf, size_t size);
int os_ptrace_setregset(pid_t tid, int note, const void *buf, size_t size);
// Whether the thread's system calls go to its own handler (PR_SET_SYSCALL_USER_DISPATCH): 1 or 0, or -errno.
int os_ptrace_dispatches(pid_t tid);
int os_ptrace_rseq(pid_t tid, struct uapi_rseq_configuration *ret);

// waitid(P_PID) with __WALL; ret->si_pid is 0 when WNOHANG found nothing.
int os_waitid(pid_t tid, int flags, siginfo_t *ret);
