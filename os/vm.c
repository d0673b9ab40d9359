// SPDX-License-Identifier: LGPL-2.1-or-later
// Transfers to and from another process's memory; see vm.h.
#include "os/vm.h"

#include <errno.h>
#include <unistd.h>

ssize_t os_vm_transfer(pid_t pid, const struct iovec *local, const struct iovec *remote,
		       size_t n, bool write)
{
	ssize_t r = write ? process_vm_writev(pid, local, n, remote, n, 0)
			  : process_vm_readv(pid, local, n, remote, n, 0);

	return r < 0 ? -errno : r;
}

ssize_t os_pread(int fd, void *buf, size_t len, uint64_t at)
{
	ssize_t r;

	do
		r = pread(fd, buf, len, (off_t)at);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

ssize_t os_pwrite(int fd, const void *buf, size_t len, uint64_t at)
{
	ssize_t r;

	do
		r = pwrite(fd, buf, len, (off_t)at);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}
