// SPDX-License-Identifier: LGPL-2.1-or-later
// What one saving and one restoring keep for all their sockets together.
#pragma once

#include "os/sock_diag.h"
#include "resource/socket.h"

struct socket_saving {
	// The kernel's list of UNIX sockets, made once, and which of them are objects.
	struct os_unix_socket *sockets; // ascending by inode
	size_t n;
	bool listed;
	struct unix_object { // in the order they were seen
		uint32_t inode;
		size_t index;
	} * objects;
	size_t n_objects, cap_objects;
	bool sorted;
	// Every kind asks what a socket is before one says yes.
	struct {
		pid_t pid;
		int fd;
		ino_t ino;
		struct socket_type type;
	} last;
	struct socket_defaults *defaults; // what new sockets have; socket_options.c
	struct tcp_batch *batch;	  // connections to be read together; tcp_save.c
};
struct err *socket_saving_get(struct saving *all, struct socket_saving **ret) must_check;
// With the list.
struct err *socket_saving_unix(const struct open_file *f, struct socket_saving **ret)
	must_check;
void socket_defaults_free(struct socket_defaults *d);
void tcp_batch_free(struct tcp_batch *b);

// A connection that was brought back and is still in repair mode.
struct revived {
	size_t index;
	bool inside; // the other end is brought back, too
	bool asked, settled;
	uint32_t rcv_nxt;
};

struct tcp_end {		       // a saved connection, by its addresses
	uint8_t local[18], remote[18]; // IPv6 or mapped address, port
	size_t index;
};

struct socket_restoring {
	VEC(struct revived) revived;
	struct tcp_end *ends; // ascending
	size_t n_ends;
	bool settled;
	// The far end of a UNIX connection that was closed when it was saved: it is there until the queue is filled.
	struct far_end {
		size_t index;
		int fd;
	} * far;
	size_t n_far, cap_far;
	struct unix_end { // saved UNIX sockets by inode
		int64_t inode;
		size_t index;
	} * unix_ends; // ascending
	size_t n_unix;
	bool filled; // the queues of UNIX sockets
};
struct err *socket_restoring_get(struct restoring *all, struct socket_restoring **ret)
	must_check;

// Both from saving_deinit and restoring_deinit; NULL is fine.
void socket_saving_free(struct socket_saving *s);
void socket_restoring_free(struct socket_restoring *s);
