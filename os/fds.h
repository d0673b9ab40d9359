// SPDX-License-Identifier: LGPL-2.1-or-later
// The descriptors of another process. All return 0 (or what is said) or -errno.
#pragma once

#include <linux/kcmp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// The numbers in use, ascending; *fds is the caller's to free. `dir` is /proc/PID/fd.
int os_fds(int dir, int **fds, size_t *n);

// kcmp(2): 0 the same, 1 less, 2 greater; the order holds as long as both exist.
int os_kcmp_file(pid_t a, int fd_a, pid_t b, int fd_b);
// Whether fd of process `pid` is what the `nth` registration (from 0) of number `target` in epoll `epoll` of process `owner` means.
int os_kcmp_epoll(pid_t pid, int fd, pid_t owner, int epoll, int target, uint32_t nth);

// Whether two processes have one descriptor table: 0 yes.
int os_kcmp_tables(pid_t a, pid_t b);

// The tool's own descriptor (close-on-exec) of one that another process has.
int os_pidfd_getfd(int pidfd, int fd);
