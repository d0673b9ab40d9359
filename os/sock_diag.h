// SPDX-License-Identifier: LGPL-2.1-or-later
// UNIX sockets of a network namespace, as the kernel lists them (sock_diag(7)).
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct os_unix_socket {
	uint64_t cookie;
	uint32_t inode;
	uint32_t peer;	     // inode of the other end; 0: it has none, or that is closed
	uint8_t type, state; // SOCK_*; TCP_ESTABLISHED, TCP_LISTEN, TCP_CLOSE
	uint8_t shutdown;    // 1: receiving, 2: sending
	uint8_t has_peer;    // connected, though the other end may be closed (peer 0)
	uint32_t queued; // bytes to be read; of a listening one: connections not accepted
	uint32_t backlog; // of a listening one
	uint32_t vfs_dev,
		vfs_ino; // of the file it is bound to (the kernel's form of dev_t); 0: none
};

// All UNIX sockets of the network namespace of process `pid`. *list is the caller's to free. 0 or -errno.
int os_unix_sockets(pid_t pid, struct os_unix_socket **list, size_t *n);
// A process that has the socket with this inode open, 0 when none is seen. Looks through all of /proc.
pid_t os_socket_owner(uint32_t inode);
// Whether both processes are in the same network namespace; -errno when it cannot be told.
int os_same_network(pid_t a, pid_t b);
