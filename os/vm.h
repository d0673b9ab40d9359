// SPDX-License-Identifier: LGPL-2.1-or-later
// Thin wrappers of process_vm_readv, process_vm_writev and pread/pwrite; bytes done or
// -errno.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

ssize_t os_vm_transfer(pid_t pid, const struct iovec *local, const struct iovec *remote,
		       size_t n, bool write);
// At most len bytes at offset `at`, which may be above INT64_MAX (/proc/PID/mem).
ssize_t os_pread(int fd, void *buf, size_t len, uint64_t at);
ssize_t os_pwrite(int fd, const void *buf, size_t len, uint64_t at);
