// SPDX-License-Identifier: LGPL-2.1-or-later
// Thin readers of /proc. All return 0 (or a count) or -errno; nothing here decides
// anything.
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// Whether such an error means that the process or thread has ended. All others (EMFILE, ENOMEM) are the tool's
// own trouble.
static inline bool os_proc_is_gone(int r)
{
	return r == -ENOENT || r == -ESRCH;
}

struct os_status { // what /proc/PID/status says
	char name[16];
	char state; // R S D T t Z X I
	pid_t tgid, ppid, tracer;
	uid_t uid, euid;
	int seccomp;	// 0 none, 1 strict, 2 filter
	size_t threads; // of the whole process
};

// Opens /proc/PID/NAME, or /proc/PID/task/TID/NAME when tid is not 0; gives a descriptor.
int os_proc_open(pid_t pid, pid_t tid, const char *name, int flags);
// Reads such a file whole; *buf is NUL-terminated and the caller's to free.
int os_proc_read(pid_t pid, pid_t tid, const char *name, char **buf, size_t *len);
// Reads an open file to its end, likewise.
int os_read_all(int fd, char **buf, size_t *len);
// readlink, NUL-terminated; -ENAMETOOLONG when it does not fit.
int os_proc_link(pid_t pid, pid_t tid, const char *name, char *buf, size_t size);
int os_proc_status(pid_t pid, pid_t tid, struct os_status *ret);
// Field 9 of /proc/PID/stat (PF_* flags of the kernel).
int os_proc_flags(pid_t pid, uint64_t *ret);
// When it started (field 22 of /proc/PID/stat, clock ticks since boot): tells processes of one pid apart.
int os_proc_start_time(pid_t pid, uint64_t *ret);
// The system call a thread is in; -1 when it runs in user mode or its state is not known.
long os_proc_syscall(pid_t pid, pid_t tid);
// The ids of all threads, in the order of their creation; *tids is the caller's to
// free.
int os_proc_tasks(pid_t pid, pid_t **tids, size_t *n);
// Locks the process against other tools: flock(2) on /proc/PID, gone with the descriptor. The descriptor, or
// -EWOULDBLOCK when another has it.
int os_proc_lock(pid_t pid);
// The pid of the process that holds such a lock, 0 when none does.
int os_proc_locker(pid_t pid, pid_t *ret);
// A number from a file such as /proc/sys/vm/mmap_min_addr.
int os_read_u64(const char *path, uint64_t *ret);
